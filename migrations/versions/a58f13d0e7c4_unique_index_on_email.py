"""unique index on email

Revision ID: a58f13d0e7c4
Revises: 7c2e04af6b93
Create Date: 2026-11-16 11:47:20

"""

from alembic import op

revision = "a58f13d0e7c4"
down_revision = "7c2e04af6b93"
branch_labels = None
depends_on = None


def upgrade():
    # The index comes before the constraint goes: no moment without uniqueness.
    op.create_index("ix_user_email", "user", ["email"], unique=True)
    op.drop_constraint("user_email_key", "user", type_="unique")


def downgrade():
    op.create_unique_constraint("user_email_key", "user", ["email"])
    op.drop_index("ix_user_email", table_name="user")
