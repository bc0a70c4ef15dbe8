"""users, who were there before Alembic, have an email"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade():
    op.add_column("users", sa.Column("email", sa.String(200)))


def downgrade():
    op.drop_column("users", "email")
