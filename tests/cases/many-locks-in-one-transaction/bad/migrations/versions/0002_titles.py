"""titles of books to tales"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    for name in ("books", "films", "games", "plays", "songs", "tales"):
        op.add_column(name, sa.Column("title", sa.Text))


def downgrade():
    for name in ("books", "films", "games", "plays", "songs", "tales"):
        op.drop_column(name, "title")
