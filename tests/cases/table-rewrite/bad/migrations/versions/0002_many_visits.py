"""more visits than an integer holds"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.alter_column("users", "visits", type_=sa.BigInteger)


def downgrade():
    op.alter_column("users", "visits", type_=sa.Integer)
