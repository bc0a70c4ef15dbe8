"""the body is called text"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.add_column("notes", sa.Column("text", sa.Text))


def downgrade():
    op.drop_column("notes", "text")
