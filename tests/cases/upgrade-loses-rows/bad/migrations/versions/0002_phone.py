"""only users with a phone"""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.execute("CREATE TABLE users_without_phone AS SELECT * FROM users WHERE phone IS NULL")
    op.execute("DELETE FROM users WHERE phone IS NULL")


def downgrade():
    op.execute("INSERT INTO users SELECT * FROM users_without_phone")
    op.drop_table("users_without_phone")
