"""what happened to orders"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.create_table(
        "entries",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("order_id", sa.Integer, sa.ForeignKey("sales.orders.id"), index=True),
        schema="audit",
    )


def downgrade():
    op.drop_table("entries", schema="audit")
