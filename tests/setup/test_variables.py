"""The names of the variables that lead to the database, out of files that are never run."""

from __future__ import annotations

import pytest

from neontest.setup.variables import Variable, variables


def names(source: str) -> list[str]:
    return [each.name for each in variables(source.encode(), "x.py")]


@pytest.mark.parametrize(
    "source",
    [
        'import os\nurl = os.environ["APP_DB_URL"]',
        'from os import environ\nurl = environ["APP_DB_URL"]',
        'url = os.environ.get("APP_DB_URL", "sqlite://")',
        'url = os.getenv("APP_DB_URL") or None',
        'from os import getenv\nurl = getenv("APP_DB_URL")',
        'env = Env()\nurl = env("APP_DB_URL")',
        'env = Env()\nurl = env.str("APP_DB_URL")',
        'env = Env()\nurl = env.dj_db_url("APP_DB_URL")',
        'from decouple import config\nurl = config("APP_DB_URL", cast=str)',
        "class S(BaseSettings):\n    app_db_url: PostgresDsn",
        'class S(pydantic_settings.BaseSettings):\n    model_config = Dict(env_prefix="APP_")\n    db_url: str',
        'class S(BaseSettings):\n    model_config = {"env_prefix": "app_"}\n    db_url: str',
        'class S(BaseSettings):\n    class Config:\n        env_prefix = "APP_"\n    db_url: str',
        'class S(BaseSettings):\n    x: str = Field(validation_alias="APP_DB_URL")',
        'class S(BaseSettings):\n    x: str = Field(..., alias=AliasChoices("APP_DB_URL"))',
        'def f():\n    if True:\n        return {"a": [os.environ["APP_DB_URL"]]}',
    ],
)
def test_each_usual_shape_is_read(source: str) -> None:
    assert names(source) == ["APP_DB_URL"]


@pytest.mark.parametrize(
    "source",
    [
        'os.environ["SECRET_KEY"]',
        'os.environ["REDIS_URL"]',
        'os.environ["TEST_DATABASE_URL"]',
        'os.environ["HOME_URL"]',
        'row["APP_DB_URL"]',
        'requests.get("APP_DB_URL")',
        'config.get_main_option("DB_URL")',
        "os.environ[name]",
        '# os.environ["APP_DB_URL"]',
        "class S(Base):\n    app_db_url: str",
        "def broken(:",
        "\0",
    ],
)
def test_what_is_no_database_is_none(source: str) -> None:
    assert names(source) == []


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("DATABASE_URL", "{url}"),
        ("SQLALCHEMY_DATABASE_URI", "{url}"),
        ("POSTGRES_DSN", "{url}"),
        ("DSN", "{url}"),
        ("DB_CONNECTION_STRING", "{url}"),
        ("ALEMBIC_URL", "{url}"),
        ("DB_HOST", "{host}"),
        ("POSTGRES_PORT", "{port}"),
        ("DB_USER", "{user}"),
        ("POSTGRES_PASSWORD", "{password}"),
        ("DB_NAME", "{database}"),
        ("POSTGRES_DB", "{database}"),
        ("PGHOST", None),  # a run sets it anyway
        ("SENTRY_DSN", None),
        ("HOSTNAME", None),
    ],
)
def test_a_name_says_what_it_stands_for(name: str, field: str | None) -> None:
    assert Variable(name=name, file="x.py", line=1).field == field


def test_a_variable_is_named_once_with_its_first_line() -> None:
    found = variables(b'import os\n\na = os.getenv("DB_HOST")\nb = os.environ["DB_HOST"]\n', "app/config.py")
    assert [(each.name, each.file, each.line) for each in found] == [("DB_HOST", "app/config.py", 3)]


def test_nothing_is_run() -> None:
    assert names('raise SystemExit(os.environ["DB_URL"])') == ["DB_URL"]
