"""names are unique, which they are not"""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.execute("INSERT INTO users (name) VALUES ('Ada'), ('Ada')")
    with op.get_context().autocommit_block():
        op.create_index("ix_users_name", "users", ["name"], unique=True, postgresql_concurrently=True)


def downgrade():
    with op.get_context().autocommit_block():
        op.drop_index("ix_users_name", "users", postgresql_concurrently=True, if_exists=True)
    op.execute("DELETE FROM users WHERE name = 'Ada'")
