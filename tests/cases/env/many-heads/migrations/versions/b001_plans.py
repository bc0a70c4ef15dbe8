"""the plans on offer"""

import sqlalchemy as sa
from alembic import op

revision = "b001"
down_revision = None
branch_labels = "billing"


def upgrade():
    op.create_table("plans", sa.Column("code", sa.String(20), primary_key=True))


def downgrade():
    op.drop_table("plans")
