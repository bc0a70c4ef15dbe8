"""six tables"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade():
    for name in ("books", "films", "games", "plays", "songs", "tales"):
        op.create_table(name, sa.Column("id", sa.Integer, primary_key=True))


def downgrade():
    for name in ("books", "films", "games", "plays", "songs", "tales"):
        op.drop_table(name)
