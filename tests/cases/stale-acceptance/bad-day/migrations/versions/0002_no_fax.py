"""nobody has a fax"""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.drop_column("users", "fax")


def downgrade():
    raise NotImplementedError("the numbers are gone")
