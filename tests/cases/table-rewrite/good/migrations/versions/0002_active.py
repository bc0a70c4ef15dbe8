"""all users are active: a constant default is written nowhere"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.add_column("users", sa.Column("active", sa.Boolean, nullable=False, server_default=sa.true()))


def downgrade():
    op.drop_column("users", "active")
