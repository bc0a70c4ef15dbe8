"""a type and a value of it, which cannot be added twice"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade():
    op.execute("CREATE TYPE mood AS ENUM ('ok')")
    with op.get_context().autocommit_block():
        op.execute("ALTER TYPE mood ADD VALUE 'sad'")


def downgrade():
    op.execute("DROP TYPE mood")
