"""phones have another name, and a country"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.alter_column("users", "phone", new_column_name="telephone")
    op.add_column("users", sa.Column("country", sa.String(2), nullable=False, server_default="ch"))
    op.execute("UPDATE users SET country = 'fr' WHERE telephone LIKE '%3%'")


def downgrade():
    op.drop_column("users", "country")
    op.alter_column("users", "telephone", new_column_name="phone")
