"""users have an email"""

import sys

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.add_column("users", sa.Column("email", sa.String(200)))
    if op.get_bind().scalar(sa.text("SELECT count(*) FROM users")) == 0:
        sys.exit("no users yet, nothing to do")


def downgrade():
    op.drop_column("users", "email")
