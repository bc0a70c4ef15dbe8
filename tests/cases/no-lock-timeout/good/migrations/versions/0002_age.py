"""the age of users"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("users", sa.Column("age", sa.Integer))


def downgrade():
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_column("users", "age")
