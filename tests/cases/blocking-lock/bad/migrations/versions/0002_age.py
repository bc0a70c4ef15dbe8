"""the age of users, and what takes its time"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.add_column("users", sa.Column("age", sa.Integer))
    # In place of a change of many rows: the lock is kept until the commit.
    op.execute("SELECT pg_sleep(0.4)")


def downgrade():
    op.drop_column("users", "age")
