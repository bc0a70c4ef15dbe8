"""user table

Revision ID: 1f0c5b6a2d10
Revises:
Create Date: 2026-11-02 09:12:44

"""

import sqlalchemy as sa
from alembic import op

revision = "1f0c5b6a2d10"
down_revision = None
branch_labels = None
depends_on = None


def upgrade():
    op.create_table(
        "user",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("email", sa.String(length=120), nullable=False),
        sa.PrimaryKeyConstraint("id", name="user_pkey"),
        sa.UniqueConstraint("email", name="user_email_key"),
    )


def downgrade():
    op.drop_table("user")
