"""the first plans"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.execute("INSERT INTO plans (code, price) VALUES ('free', 0), ('team', 20)")
    op.add_column("plans", sa.Column("seats", sa.Integer))


def downgrade():
    op.drop_column("plans", "seats")
    op.execute("DELETE FROM plans WHERE code IN ('free', 'team')")
