"""users have a name, which nothing needs yet"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.add_column("users", sa.Column("name", sa.String(100)))


def downgrade():
    op.drop_column("users", "name")
