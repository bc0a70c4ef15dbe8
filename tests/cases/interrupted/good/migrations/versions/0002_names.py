"""an index, made anew where a broken one was left"""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    with op.get_context().autocommit_block():
        op.drop_index("ix_users_name", "users", postgresql_concurrently=True, if_exists=True)
        op.create_index("ix_users_name", "users", ["name"], postgresql_concurrently=True)


def downgrade():
    op.drop_index("ix_users_name", "users")
