"""every user has a phone"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.add_column("user", sa.Column("phone", sa.String(40), nullable=False, server_default=""))
    op.alter_column("user", "phone", server_default=None)


def downgrade():
    op.drop_column("user", "phone")
