"""an age is in years"""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.alter_column("users", "age", new_column_name="years_old")


def downgrade():
    op.alter_column("users", "years_old", new_column_name="age")
