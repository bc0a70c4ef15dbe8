"""a value that may be there already"""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade():
    with op.get_context().autocommit_block():
        op.execute("ALTER TYPE mood ADD VALUE IF NOT EXISTS 'sad'")


def downgrade():
    op.execute("ALTER TYPE mood RENAME TO old_mood")
    op.execute("CREATE TYPE mood AS ENUM ('ok')")
    op.execute("DROP TYPE old_mood")
