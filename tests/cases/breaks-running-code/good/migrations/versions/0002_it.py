"""an age is in years, too, until nobody reads the old column any more"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.add_column("users", sa.Column("years_old", sa.Integer))


def downgrade():
    op.drop_column("users", "years_old")
