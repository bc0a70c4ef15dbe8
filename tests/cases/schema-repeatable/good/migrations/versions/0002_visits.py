"""visits"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.create_table(
        "visits",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("seen", sa.DateTime, nullable=False),
    )
    op.create_index("ix_visits_seen", "visits", ["seen"])


def downgrade():
    op.drop_table("visits")
