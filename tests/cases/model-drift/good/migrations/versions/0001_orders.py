"""the table of orders"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade():
    op.create_table(
        "orders",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("state", sa.Enum("new", "paid", "sent", name="order_state"), nullable=False),
        sa.Column("pieces", sa.Integer, nullable=False),
    )


def downgrade():
    op.drop_table("orders")
    op.execute("DROP TYPE order_state")
