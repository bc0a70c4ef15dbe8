"""メールは一意"""

from alembic import op

revision = "2024.03_メール"
down_revision = "2024.02_größe"


def upgrade():
    op.create_index("ix_users_email", "users", ["email"], unique=True)


def downgrade():
    op.drop_index("ix_users_email", "users")
