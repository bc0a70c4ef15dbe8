"""longer names"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.alter_column("users", "name", type_=sa.Text)


def downgrade():
    pass
