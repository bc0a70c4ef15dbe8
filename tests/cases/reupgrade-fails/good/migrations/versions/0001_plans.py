"""the plans on offer"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade():
    op.create_table(
        "plans",
        sa.Column("code", sa.String(20), primary_key=True),
        sa.Column("price", sa.Integer, nullable=False),
    )


def downgrade():
    op.drop_table("plans")
