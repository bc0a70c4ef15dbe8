"""The branch's URL in every form, and an environment that carries no secret of ours."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from neontest.errors import ConfigError
from neontest.migrate.environment import (
    UrlForms,
    activated,
    driver_for,
    is_asynchronous,
    named_driver,
    own_urls,
    render_environment,
    stripped,
    write_files,
)
from neontest.migrate.interpreter import Interpreter

URL = "postgresql://neondb_owner:p%40ss%2Fw%25rd%C3%BC@ep-x.neon.tech/my%20db?sslmode=require&channel_binding=require"


def interpreter(*drivers: str, sqlalchemy: str = "2.0.44") -> Interpreter:
    return Interpreter(
        python=Path("/usr/bin/python"), version="3.11.7", alembic="1.17.0", sqlalchemy=sqlalchemy, drivers=drivers
    )


def rendered(templates=None, *, drivers=("psycopg2",), base=None, sqlalchemy="2.0.44", **options):
    return render_environment(
        URL,
        interpreter(*drivers, sqlalchemy=sqlalchemy),
        templates=templates or {},
        files=Path("/run/files"),
        base_environ=base or {},
        **options,
    )


def test_a_url_survives_being_taken_apart():
    forms = UrlForms.parse(URL)
    assert (forms.user, forms.password, forms.database, forms.port) == ("neondb_owner", "p@ss/w%rdü", "my db", 5432)
    assert UrlForms.parse(forms.url()) == forms
    assert "p@ss" not in repr(forms)
    read = make_url(forms.url("psycopg2"))
    assert (read.password, read.database, read.query["channel_binding"]) == ("p@ss/w%rdü", "my db", "require")


def test_asyncpg_and_pg8000_get_no_word_that_they_refuse():
    forms = UrlForms.parse(URL)
    assert forms.url("asyncpg").endswith(":5432/my%20db")
    assert forms.url("pg8000").endswith(":5432/my%20db")
    assert forms.url("psycopg").endswith("?sslmode=require&channel_binding=require")


def test_what_is_no_postgres_url_is_refused():
    for url in ("sqlite:///x.db", "postgresql:///x"):
        with pytest.raises(ConfigError):
            UrlForms.parse(url)


@pytest.mark.parametrize(
    ("sqlalchemy", "drivers", "own", "asynchronous", "expected"),
    [
        ("2.0.44", ("psycopg2",), (), False, None),
        ("2.0.44", ("psycopg2", "psycopg"), (), False, None),
        ("2.0.44", ("psycopg",), (), False, "psycopg"),
        ("2.1.0", ("psycopg2",), (), False, "psycopg2"),
        ("2.1.0", ("psycopg2", "psycopg"), (), False, None),
        ("2.1.0b1", ("psycopg2",), (), False, "psycopg2"),
        ("2.0.44", ("pg8000",), (), False, "pg8000"),
        ("2.0.44", ("asyncpg",), (), False, "asyncpg"),
        ("2.0.44", ("psycopg2", "asyncpg"), (), True, "asyncpg"),
        ("2.0.44", ("psycopg2", "psycopg"), (), True, "psycopg"),
        ("1.4.54", ("psycopg", "pg8000"), (), False, "pg8000"),
        ("1.3.24", ("psycopg2",), (), False, None),
        ("2.0.44", ("psycopg2", "asyncpg"), (None, "postgresql+asyncpg://x/y"), False, "asyncpg"),
        ("2.1.0", ("psycopg2", "psycopg"), ("postgres://x/y", "postgresql+psycopg2://x/y"), False, "psycopg2"),
        ("2.0.44", (), (), False, None),
    ],
)
def test_the_driver_is_the_one_that_the_project_uses(sqlalchemy, drivers, own, asynchronous, expected):
    assert driver_for(interpreter(*drivers, sqlalchemy=sqlalchemy), own, asynchronous=asynchronous) == expected


def test_only_urls_of_postgres_name_drivers():
    assert named_driver("postgresql+asyncpg://h/d") == "asyncpg"
    assert named_driver("mysql+pymysql://h/d") is None
    assert named_driver("driver://user:pass@localhost/dbname") is None
    assert named_driver(None) is None


def test_the_url_is_there_under_every_usual_name():
    environ = rendered()
    for name in ("DATABASE_URL", "SQLALCHEMY_DATABASE_URI", "FLASK_SQLALCHEMY_DATABASE_URI"):
        assert UrlForms.parse(environ[name]) == UrlForms.parse(URL)
    pg = {name: environ[name] for name in environ if name.startswith("PG")}
    assert pg == {
        "PGHOST": "ep-x.neon.tech",
        "PGPORT": "5432",
        "PGUSER": "neondb_owner",
        "PGPASSWORD": "p@ss/w%rdü",
        "PGDATABASE": "my db",
        "PGSSLMODE": "require",
        "PGCHANNELBINDING": "require",
    }


def test_variables_that_lead_elsewhere_are_taken_away():
    base = {
        "PGHOSTADDR": "10.0.0.1",
        "PGSERVICE": "prod",
        "PGOPTIONS": "-c x=y",
        "DATABASE_URL": "postgres://prod/real",
    }
    environ = rendered(base={**base, "LANG": "C.UTF-8"})
    assert not {"PGHOSTADDR", "PGSERVICE", "PGOPTIONS"} & set(environ)
    assert "prod" not in repr(environ)
    assert environ["LANG"] == "C.UTF-8"


def test_each_variable_keeps_the_driver_that_it_names():
    base = {"DATABASE_URL": "postgresql+asyncpg://a/b", "SQLALCHEMY_DATABASE_URI": "postgresql+psycopg2://a/b"}
    environ = rendered({"MINE": "{url}"}, base=base, drivers=("psycopg2", "asyncpg"))
    assert environ["DATABASE_URL"].startswith("postgresql+asyncpg://")
    assert environ["SQLALCHEMY_DATABASE_URI"].startswith("postgresql+psycopg2://")
    assert environ["MINE"] == environ["DATABASE_URL"]


def test_a_project_with_asyncpg_gets_urls_that_either_driver_takes():
    environ = rendered({"MINE": "{url}"}, drivers=("psycopg2", "asyncpg"))
    assert environ["DATABASE_URL"] == environ["MINE"]
    assert environ["DATABASE_URL"].endswith(":5432/my%20db")
    assert (environ["PGSSLMODE"], environ["PGCHANNELBINDING"]) == ("require", "require")


def test_templates_give_the_url_in_pieces():
    environ = rendered(
        {
            "POSTGRES_HOST": "{host}",
            "POSTGRES_PASSWORD": "{password}",
            "SETTINGS": "{files}/settings.toml",
            "ASYNC_URL": "postgresql+asyncpg://{user}:{password}@{host}:{port}/{database}",
            "JSON": '{{"db": "{database}", "ssl": "{sslmode}"}}',
        }
    )
    assert environ["POSTGRES_HOST"] == "ep-x.neon.tech"
    assert environ["POSTGRES_PASSWORD"] == "p@ss/w%rdü"
    assert environ["SETTINGS"] == "/run/files/settings.toml"
    assert UrlForms.parse(environ["ASYNC_URL"]).password == "p@ss/w%rdü"
    assert environ["JSON"] == '{"db": "my db", "ssl": "require"}'


@pytest.mark.parametrize("template", ["{hots}", "{}", "{0}", "{host!r}", "{host:>10}", "{host.upper}", "{", "a}"])
def test_an_unknown_field_is_refused_by_its_key(template):
    with pytest.raises(ConfigError, match=r"\[tool.neontest.env\] MY_HOST"):
        rendered({"MY_HOST": template})


def test_the_programs_of_the_projects_virtual_environment_come_first(tmp_path):
    python = tmp_path / "venv/bin/python"
    python.parent.mkdir(parents=True)
    base = {"PATH": f"/usr/bin:{python.parent}", "VIRTUAL_ENV": "/elsewhere", "PYTHONHOME": "/usr"}
    assert activated(base, python) == base
    (tmp_path / "venv/pyvenv.cfg").touch()
    expected = {"PATH": f"{python.parent}:/usr/bin", "VIRTUAL_ENV": str(tmp_path / "venv")}
    assert activated(base, python) == expected


def test_files_are_written_for_their_owner_only(tmp_path):
    write_files({"conf/settings.toml": 'url = "{url}"\nhere = "{files}"'}, URL, "postgresql://short", tmp_path)
    path = tmp_path / "conf/settings.toml"
    assert path.read_text() == f'url = "postgresql://short"\nhere = "{tmp_path}"'
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x"])
def test_files_stay_in_their_folder(tmp_path, name):
    with pytest.raises(ConfigError, match="outside"):
        write_files({name: "x"}, URL, URL, tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "NEON_API_KEY",
        "NEONTEST_API_KEY",
        "NEONTEST_GITHUB_TOKEN",
        "INPUT_API_KEY",
        "INPUT_GITHUB-TOKEN",
        "GITHUB_TOKEN",
        "GH_TOKEN",
        "GITHUB_PAT",
        "GH_ENTERPRISE_TOKEN",
        "ACTIONS_RUNTIME_TOKEN",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
        "ACTIONS_ID_TOKEN_REQUEST_URL",
        "CI_JOB_TOKEN",
        "CI_JOB_JWT_V2",
        "SYSTEM_ACCESSTOKEN",
        "CIRCLE_OIDC_TOKEN_V2",
        "GITHUB_ENV",
        "GITHUB_PATH",
        "GITHUB_OUTPUT",
        "GITHUB_STATE",
        "PYPI_TOKEN",
        "PYPI_API_TOKEN",
        "TWINE_PASSWORD",
        "UV_PUBLISH_TOKEN",
        "POETRY_PYPI_TOKEN_PYPI",
    ],
)
def test_what_only_neontest_or_ci_may_use_does_not_reach_the_project(name):
    assert stripped({name: "x", "PATH": "/bin"}) == {"PATH": "/bin"}


@pytest.mark.parametrize(
    "name",
    [
        "NEON_PROJECT_ID",
        "GITHUB_SHA",
        "GITHUB_ACTIONS",
        "GITHUB_STEP_SUMMARY",
        "GITHUB_WORKSPACE",
        "ACTIONS_STEP_DEBUG",
        "CI",
        "MY_TOKEN",
        "MY_GITHUB_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "STRIPE_API_KEY",
        "NPM_TOKEN",
        "PIP_INDEX_URL",
        "UV_INDEX_PRIVATE_PASSWORD",
    ],
)
def test_what_a_projects_tests_may_need_is_left_to_it(name):
    assert stripped({name: "x"}) == {name: "x"}


def test_the_projects_own_urls_are_found_where_they_are_checked_in(files):
    files.alembic(options="").write(".env", "# x\nexport DATABASE_URL='postgresql+asyncpg://a/b'\nOTHER=1\n")
    text = (
        (files.root / "alembic.ini")
        .read_text()
        .replace("driver://user:pass@localhost/dbname", "postgresql+pg8000://x/%%y")
    )
    files.write("alembic.ini", text)
    assert own_urls(files.project()) == ("postgresql+pg8000://x/%%y", "postgresql+asyncpg://a/b")


def test_an_asynchronous_env_py_is_known_by_its_engine(tmp_path):
    path = tmp_path / "env.py"
    assert not is_asynchronous(path)
    path.write_text("from sqlalchemy.ext.asyncio import async_engine_from_config\n")
    assert is_asynchronous(path)
    path.write_text("from sqlalchemy import engine_from_config\n")
    assert not is_asynchronous(path)
