"""names without spaces around them: only rows change, and there is nothing to undo"""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade():
    op.execute("UPDATE users SET name = trim(name)")


def downgrade():
    pass
