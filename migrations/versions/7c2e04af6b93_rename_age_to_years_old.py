"""rename age to years_old

Renamed, not dropped and added: no value is lost in either direction.

Revision ID: 7c2e04af6b93
Revises: 3b7d91e4c852
Create Date: 2026-11-09 10:02:51

"""

from alembic import op

revision = "7c2e04af6b93"
down_revision = "3b7d91e4c852"
branch_labels = None
depends_on = None


def upgrade():
    op.alter_column("user", "age", new_column_name="years_old")


def downgrade():
    op.alter_column("user", "years_old", new_column_name="age")
