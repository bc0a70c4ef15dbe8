"""invoices need users"""

import sqlalchemy as sa
from alembic import op

revision = "b002"
down_revision = "b001"
depends_on = "a001"


def upgrade():
    op.create_table(
        "invoices",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("user_id", sa.Integer, sa.ForeignKey("users.id"), nullable=False, index=True),
    )


def downgrade():
    op.drop_table("invoices")
