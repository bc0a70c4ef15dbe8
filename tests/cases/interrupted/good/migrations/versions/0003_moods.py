"""a type"""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade():
    op.execute("CREATE TYPE mood AS ENUM ('ok')")


def downgrade():
    op.execute("DROP TYPE mood")
