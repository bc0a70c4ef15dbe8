from alembic import context
from flask import current_app

config = context.config
db = current_app.extensions["migrate"].db
config.set_main_option("sqlalchemy.url", db.engine.url.render_as_string(hide_password=False).replace("%", "%%"))

with db.engine.connect() as connection:
    context.configure(
        connection=connection, target_metadata=db.metadata, **current_app.extensions["migrate"].configure_args
    )
    with context.begin_transaction():
        context.run_migrations()
