"""every user has a phone"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.add_column("user", sa.Column("phone", sa.String(40), nullable=False))


def downgrade():
    op.drop_column("user", "phone")
