"""a column in a transaction of its own, and an index that is taken to be there"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.execute("ALTER TABLE users ADD COLUMN IF NOT EXISTS short text")
    with op.get_context().autocommit_block():
        op.create_index(
            "ix_users_name", "users", ["name"], postgresql_concurrently=True, if_not_exists=True
        )


def downgrade():
    op.drop_index("ix_users_name", "users")
    op.drop_column("users", "short")
