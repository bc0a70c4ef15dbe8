"""users without a phone are marked"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.add_column("users", sa.Column("silent", sa.Boolean, nullable=False, server_default=sa.false()))
    op.execute("UPDATE users SET silent = phone IS NULL")


def downgrade():
    op.drop_column("users", "silent")
