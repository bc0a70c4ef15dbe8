"""every user has an email"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade():
    op.add_column("users", sa.Column("email", sa.String(200)))
    op.execute("UPDATE users SET email = lower(name) || '@example.org'")
    op.alter_column("users", "email", nullable=False)


def downgrade():
    op.drop_column("users", "email")
