"""reports have titles"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.add_column("reports", sa.Column("title", sa.Text))


def downgrade():
    op.drop_column("reports", "title")
