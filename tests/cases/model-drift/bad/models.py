import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={"ck": "ck_%(table_name)s_%(constraint_name)s", "ix": "ix_%(table_name)s_%(column_0_name)s"}
)

orders = sa.Table(
    "orders",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("state", sa.Enum("new", "paid", "sent", name="order_state"), nullable=False),
    sa.Column("pieces", sa.Integer, nullable=False),
    sa.Column("email", sa.String(120), index=True),
    sa.CheckConstraint("pieces > 0", name="pieces"),
)
