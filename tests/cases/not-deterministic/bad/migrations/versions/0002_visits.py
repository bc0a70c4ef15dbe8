"""visits, with an index that has the name of its columns, as they come out of a set"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

COLUMNS = {"page", "seen", "country", "agent", "seconds", "referrer"}


def upgrade():
    op.create_table(
        "visits",
        sa.Column("id", sa.Integer, primary_key=True),
        *(sa.Column(name, sa.Text) for name in sorted(COLUMNS)),
    )
    op.create_index("ix_" + "_".join(COLUMNS), "visits", list(COLUMNS))


def downgrade():
    op.drop_table("visits")
