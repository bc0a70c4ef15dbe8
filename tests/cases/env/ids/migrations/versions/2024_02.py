"""users have an email"""

import sqlalchemy as sa
from alembic import op

revision = "2024.02_größe"
down_revision = "2024.01"


def upgrade():
    op.add_column("users", sa.Column("email", sa.String(200)))


def downgrade():
    op.drop_column("users", "email")
