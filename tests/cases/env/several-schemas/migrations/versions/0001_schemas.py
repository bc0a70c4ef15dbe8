"""two schemas"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade():
    op.execute("CREATE SCHEMA sales")
    op.execute("CREATE SCHEMA audit")
    op.create_table("orders", sa.Column("id", sa.Integer, primary_key=True), schema="sales")


def downgrade():
    op.drop_table("orders", schema="sales")
    op.execute("DROP SCHEMA audit")
    op.execute("DROP SCHEMA sales")
