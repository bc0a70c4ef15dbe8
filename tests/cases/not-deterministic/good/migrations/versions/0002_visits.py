"""visits, with an index that has the name of its columns, and rows that say when they were made"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

COLUMNS = {"page", "seen", "country", "agent", "seconds", "referrer"}


def upgrade():
    op.create_table(
        "visits",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("made", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        *(sa.Column(name, sa.Text) for name in sorted(COLUMNS)),
    )
    op.create_index("ix_" + "_".join(sorted(COLUMNS)), "visits", sorted(COLUMNS))
    op.execute("INSERT INTO visits (page) VALUES ('/'), ('/about')")


def downgrade():
    op.drop_table("visits")
