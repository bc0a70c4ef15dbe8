"""the planner shall know more names"""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.execute("ALTER TABLE users ALTER COLUMN name SET STATISTICS 500")
    op.execute("ANALYZE users")
    # SHARE UPDATE EXCLUSIVE is kept as long, and blocks nobody who reads or writes.
    op.execute("SELECT pg_sleep(0.4)")


def downgrade():
    op.execute("ALTER TABLE users ALTER COLUMN name SET STATISTICS -1")
