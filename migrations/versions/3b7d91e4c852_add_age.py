"""add age

Revision ID: 3b7d91e4c852
Revises: 1f0c5b6a2d10
Create Date: 2026-11-04 15:30:07

"""

import sqlalchemy as sa
from alembic import op

revision = "3b7d91e4c852"
down_revision = "1f0c5b6a2d10"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("user", sa.Column("age", sa.Integer(), nullable=True))


def downgrade():
    op.drop_column("user", "age")
