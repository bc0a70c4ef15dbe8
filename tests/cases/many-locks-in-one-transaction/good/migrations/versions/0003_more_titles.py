"""titles of plays to tales"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade():
    for name in ("plays", "songs", "tales"):
        op.add_column(name, sa.Column("title", sa.Text))


def downgrade():
    for name in ("plays", "songs", "tales"):
        op.drop_column(name, "title")
