"""the address, and no orders of nothing"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.add_column("orders", sa.Column("email", sa.String(120)))
    op.create_index(op.f("ix_orders_email"), "orders", ["email"])
    op.create_check_constraint(op.f("ck_orders_pieces"), "orders", "pieces > 0")


def downgrade():
    op.drop_constraint(op.f("ck_orders_pieces"), "orders", type_="check")
    op.drop_index(op.f("ix_orders_email"), table_name="orders")
    op.drop_column("orders", "email")
