"""the body is called text"""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.alter_column("notes", "body", new_column_name="text")


def downgrade():
    op.alter_column("notes", "text", new_column_name="body")
