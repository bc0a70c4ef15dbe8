"""The database objects of the application, and the URL in the form that its driver takes."""

from __future__ import annotations

from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    """The base of every model; its metadata is what the migrations are compared with."""


db = SQLAlchemy(model_class=Base)
migrate = Migrate()


def usable_url(url: str) -> str:
    """The URL with psycopg2 named as its driver, where it names none.

    Neon hands out `postgresql://…`, Heroku's older form is `postgres://…`; SQLAlchemy 2.1 takes the first to mean
    psycopg 3 and does not know the second.
    """
    for scheme in ("postgresql://", "postgres://"):
        if url.startswith(scheme):
            return "postgresql+psycopg2://" + url.removeprefix(scheme)
    return url
