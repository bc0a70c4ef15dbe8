"""A small user directory: Flask, Flask-SQLAlchemy and Flask-Migrate on Postgres."""

from __future__ import annotations

import os

from dotenv import load_dotenv
from flask import Flask

from app.api import api
from app.database import db, migrate, usable_url


def create_app(database_url: str | None = None) -> Flask:
    """The application on `database_url`, else on DATABASE_URL from the environment or from `.env`.

    Raises:
        RuntimeError: if no database URL is given anywhere.
    """
    load_dotenv()
    url = database_url or os.environ.get("DATABASE_URL")
    if not url:
        raise RuntimeError("DATABASE_URL is not set: put it into the environment or into .env (see .env.example)")
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = usable_url(url)
    app.config["SQLALCHEMY_TRACK_MODIFICATIONS"] = False
    # Neon stops an idle compute and closes its connections: ask each pooled one before it is used.
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"pool_pre_ping": True}
    db.init_app(app)
    migrate.init_app(app, db)
    app.register_blueprint(api)
    return app
