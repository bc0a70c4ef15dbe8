"""What a session says of visits that fail, hang or end the process."""

from __future__ import annotations

import time

import pytest

from neontest.errors import WorkerError
from tests.migrate.conftest import ENV_PY

SWALLOWS = ENV_PY.replace(
    "            context.run_migrations()\n",
    "            try:\n                context.run_migrations()\n            except Exception as error:\n"
    "                print('failed', type(error))\n                SAY\n",
)


def test_an_error_has_its_revision_its_line_its_sql_and_the_databases_words(files, opened):
    files.alembic().table("a1", "first")
    files.revision("b2", 'x = 1\nop.execute("INSERT INTO first VALUES (1), (1) -- \u00fcber")')
    error = opened().visit("upgrade", "head").error
    assert (error.kind, error.sqlstate, error.revision) == ("UniqueViolation", "23505", "b2")
    assert (error.file, error.line) == ("migrations/versions/b2.py", 10)
    assert error.sql == "INSERT INTO first VALUES (1), (1) -- \u00fcber"
    assert error.message == (
        'duplicate key value violates unique constraint "first_pkey" (Key (id)=(…) already exists.)'
    )


@pytest.mark.parametrize(
    "say", ["pass", "connection.execute(sa_text('SELECT 1'))", "raise RuntimeError('no idea why')"]
)
def test_the_first_database_error_is_told_whatever_env_py_makes_of_it(files, opened, say):
    env_py = SWALLOWS.replace("SAY", say).replace(
        "from alembic", "from sqlalchemy import text as sa_text\nfrom alembic"
    )
    files.alembic(env_py).table("a1", "first").revision("b2", 'op.execute("SELECT 1 / 0")')
    visit = opened().visit("upgrade", "head")
    assert not visit.moved
    assert (visit.error.kind, visit.error.revision, visit.error.line) == ("DivisionByZero", "b2", 9)


@pytest.mark.parametrize(
    ("sql", "begins"),
    [
        ("SELECT v::jsonb FROM (VALUES ('{\"mail\": ada@example.org}')) t (v)", "invalid input syntax for type json"),
        ("SELECT v::int FROM (VALUES ('ada@example.org')) t (v)", 'invalid input syntax for type integer: "…"'),
        (
            "CREATE TABLE p (mail text) PARTITION BY LIST (mail); INSERT INTO p VALUES ('ada@example.org')",
            'no partition of relation "p" found for row (Partition key of the failing row contains (mail) = (…).)',
        ),
    ],
)
def test_what_rows_hold_is_in_no_message_of_the_database(files, opened, sql: str, begins: str):
    files.alembic().revision("a1", f"op.get_bind().exec_driver_sql({sql!r})")
    error = opened().visit("upgrade", "head").error
    assert error.message.startswith(begins)
    assert "ada" not in error.message


def test_an_error_of_python_that_env_py_swallows_is_told(files, opened):
    files.alembic(SWALLOWS.replace("SAY", "pass")).revision("a1", "raise ValueError('bad data: \u00e9')")
    walk = opened()
    visit = walk.visit("upgrade", "head")
    assert (visit.error.kind, visit.error.message, visit.error.revision) == ("ValueError", "bad data: \u00e9", "a1")
    assert (visit.error.file, visit.error.line) == ("migrations/versions/a1.py", 9)
    assert [step.error.kind for step in walk.stairway(("upgrade", "a1"))] == ["ValueError"]


def test_an_error_that_the_migration_recovers_from_is_none(files, opened, database):
    recovers = (
        "bind = op.get_bind()\ntry:\n    with bind.begin_nested():\n        bind.execute(sa.text('SELECT 1 / 0'))\n"
        "except sa.exc.DBAPIError:\n    pass\nop.execute('CREATE TABLE done ()')\nWHAT"
    )
    files.alembic().revision("a1", recovers.replace("WHAT", "pass"))
    files.revision("b2", recovers.replace("WHAT", "raise ValueError('later')").replace("done", "more"))
    walk = opened()
    assert walk.visit("upgrade", "a1").error is None
    assert database.has("done")
    assert walk.visit("upgrade", "b2").error.kind == "ValueError"


def test_an_irreversible_downgrade_keeps_its_kind(files, opened):
    files.alembic().revision("a1", down="raise NotImplementedError('rows are gone')")
    walk = opened()
    assert walk.visit("upgrade", "head").moved
    error = walk.visit("downgrade", "base").error
    assert (error.kind, error.message) == ("NotImplementedError", "rows are gone")


def test_a_missing_downgrade_is_an_error_of_its_revision(files, opened):
    files.alembic().revision("a1")
    path = files.root / "migrations/versions/a1.py"
    path.write_text(path.read_text().replace("def downgrade", "def undo"))
    walk = opened()
    up, down = walk.stairway(("upgrade", "a1"), ("downgrade", "a1"))
    assert up.error is None
    assert (down.error.kind, down.error.revision) == ("AttributeError", "a1")
    assert walk.visit("downgrade", "base").error.kind == "AttributeError"


def test_the_session_goes_on_after_a_failed_step(files, opened, database):
    files.alembic().table("a1", "first").revision("b2", "op.execute('SELECT nothing')").table("c3", "third")
    walk = opened()
    visits = walk.stairway(("upgrade", "a1"), ("upgrade", "b2"), ("upgrade", "c3"))
    assert [(visit.to, visit.error and visit.error.kind) for visit in visits] == [
        ("a1", None),
        ("b2", "UndefinedColumn"),
    ]
    visits = walk.stairway(("downgrade", "a1"), ("upgrade", "a1"))
    assert [visit.moved for visit in visits] == [True, True]
    assert walk.session.current() == ("a1",)


def test_a_failed_visit_leaves_no_transaction_behind(files, opened, database):
    files.alembic().revision("a1", "op.execute('CREATE TABLE half ()')\nraise ValueError('now')")
    opened().visit("upgrade", "head")
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    assert database.one(f"SELECT count(*) {others} AND state LIKE 'idle in transaction%'") == 0
    assert not database.has("half")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("exit()", "the process was asked to exit with status None"),
        ("sys.exit(4)", "the process was asked to exit with status 4"),
        ("os._exit(5)", "the process ended with exit status 5"),
        ("os.kill(os.getpid(), 9)", "the process was killed by SIGKILL"),
    ],
)
def test_a_migration_that_ends_the_process_is_named(files, opened, body, message):
    files.alembic().revision("a1").revision("b2", body)
    walk = opened()
    error = walk.visit("upgrade", "head").error
    assert (error.kind, error.message, error.revision) == ("exit", message, "b2")
    assert walk.session.alive is ("_exit" not in body and "kill" not in body)


SHUT = """fd = op.get_bind().connection.dbapi_connection.fileno()
os.closerange(3, fd)
os.closerange(fd + 1, 70_000)
"""


@pytest.mark.parametrize(
    "body",
    [
        "import re\nre.match(r'(a+)+$', 'a' * 60 + 'b')",  # no other thread of the process goes on
        "os.kill(os.getpid(), 19)",
        f"{SHUT}time.sleep(60)",
    ],
    ids=["holds Python's lock", "is stopped", "has closed what it did not open"],
)
def test_a_migration_that_lets_nobody_speak_is_named(files, opened, body):
    files.alembic().revision("a1").revision("b2", f"op.execute('CREATE TABLE q ()')\n{body}")
    visit = opened().visit("upgrade", "head", seconds=3)
    assert visit.error is not None
    assert (visit.error.kind, visit.error.revision) == ("timeout", "b2")
    assert [each.sql for each in visit.statements] == ["CREATE TABLE q ()"]


def test_one_that_closes_what_it_did_not_open_and_fails_is_named(files, opened):
    files.alembic().revision("a1").revision("b2", f"{SHUT}op.execute('CREATE TABLE q ()')")
    visit = opened().visit("upgrade", "head")
    assert visit.error is not None
    assert (visit.error.kind, visit.error.revision) == ("exit", "b2")


def test_what_is_left_to_say_and_more_than_a_pipe_holds_is_told(files, opened):
    files.alembic().revision(
        "a1", "for n in range(60):\n    op.execute(f'SELECT {n} /* ' + 'x' * 3000 + ' */')\nos._exit(3)"
    )
    walk = opened()
    taken = walk.session._channel._read
    walk.session._channel._read = lambda: time.sleep(0.3) or taken()
    assert len(walk.visit("upgrade", "head").statements) == 60


def test_a_command_that_nobody_reads_is_not_waited_for(files, opened):
    files.alembic().revision(
        "a1", "import signal\nsignal.signal(14, lambda *_: time.sleep(60))\nsignal.setitimer(signal.ITIMER_REAL, 0.5)"
    )
    walk = opened()
    assert walk.visit("upgrade", "head").error is None
    time.sleep(1)
    began = time.monotonic()
    (visit,) = walk.stairway(*[("downgrade", "x" * 30)] * 3000, seconds=2)
    assert visit.error.kind == "timeout"
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("end", ["os._exit(5)", "os.kill(os.getpid(), 9)"])
def test_what_ran_just_before_its_process_ended_is_told(files, opened, end):
    long = "SELECT '" + "\U0001f600" * 40_000 + "'"
    files.alembic().table("a1", "t1").revision("a2", f"op.execute({long!r})\nop.execute('SELECT 2')\n{end}")
    visit = opened().visit("upgrade", "head")
    assert visit.error is not None
    assert visit.error.revision == "a2"
    told = [(each.revision, each.sql.split()[0], len(each.sql) > 20_000) for each in visit.statements]
    assert told == [("a1", "CREATE", False), ("a2", "SELECT", True), ("a2", "SELECT", False)]


def test_a_dead_session_refuses_more_work(files, opened):
    files.alembic().revision("a1", "os._exit(0)")
    walk = opened()
    (visit,) = walk.stairway(("upgrade", "a1"))
    assert visit.error.kind == "exit"
    with pytest.raises(WorkerError, match="over"):
        walk.visit("upgrade", "head")


@pytest.mark.parametrize("stairway", [False, True])
def test_a_statement_that_hangs_is_named_and_stopped_on_the_server(files, opened, database, stairway):
    files.alembic().revision("a1").revision("b2", "op.execute('SELECT pg_sleep(600)')")
    walk = opened()
    if stairway:
        visit = walk.stairway(("upgrade", "a1"), ("upgrade", "b2"), seconds=1.0)[-1]
    else:
        visit = walk.visit("upgrade", "head", seconds=1.0)
    error = visit.error
    assert (error.kind, error.revision, error.sql) == ("timeout", "b2", "SELECT pg_sleep(600)")
    assert (error.file, error.line) == ("migrations/versions/b2.py", 9)
    assert "took longer than 1 s" in error.message
    assert not walk.session.alive
    assert database.one("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'") == 0


@pytest.mark.parametrize(
    "body",
    ["time.sleep(600)", "while True:\n    try:\n        time.sleep(600)\n    except BaseException:\n        pass"],
)
def test_python_that_hangs_is_stopped(files, opened, body):
    files.alembic().revision("a1", body)
    error = opened().visit("upgrade", "head", seconds=0.7).error
    assert (error.kind, error.revision) == ("timeout", "a1")


def test_statements_without_end_are_stopped(files, opened):
    files.alembic().revision("a1", "while True:\n    op.execute('SELECT 1')")
    visit = opened().visit("upgrade", "head", seconds=0.7)
    assert (visit.error.kind, visit.error.revision) == ("timeout", "a1")
    assert visit.statements


def test_an_env_py_that_never_commits_is_seen_not_to_move(files, opened, database):
    never = ENV_PY.replace(
        "        context.configure(",
        "        connection.exec_driver_sql('SET lock_timeout = 5000')\n        context.configure(",
    )
    files.alembic(never).table("a1", "first")
    walk = opened()
    visit = walk.visit("upgrade", "head")
    assert (visit.error, visit.moved) == (None, False)
    assert [step.moved for step in walk.stairway(("upgrade", "a1"))] == [False]
    assert not database.has("first")


def test_an_env_py_that_runs_nothing_is_seen_not_to_move(files, opened):
    files.alembic(ENV_PY.replace("            context.run_migrations()", "            pass")).table("a1", "first")
    walk = opened()
    assert not walk.visit("upgrade", "head").moved
    assert walk.stairway(("upgrade", "a1"))[0].error.kind == "NothingRun"


def test_an_unknown_target_is_said(files, opened):
    files.alembic().table("a1", "first")
    error = opened().visit("upgrade", "zz").error
    assert error.kind == "CommandError"
    assert "zz" in error.message


@pytest.mark.parametrize(
    ("env_py", "said"),
    [
        ("import not_there", "ModuleNotFoundError: No module named 'not_there'"),
        ("raise SystemExit(3)", "asked to exit with status 3"),
        ("import os; os._exit(3)", "ended with exit status 3"),
    ],
)
def test_a_project_that_does_not_load_says_why(files, opened, env_py, said):
    files.alembic(env_py).table("a1", "first")
    with pytest.raises(WorkerError, match=said):
        opened()


def test_a_migration_that_does_not_parse_is_named(files, opened):
    files.alembic().revision("a1", "x = = 1")
    with pytest.raises(WorkerError, match=r"migrations/versions/a1.py:9"):
        opened()


@pytest.mark.parametrize("name", ["lost", "timeout", "exit", "command"])
def test_a_class_of_the_project_is_not_taken_for_what_neontest_calls_a_failure(files, opened, name):
    files.alembic().revision("a1", f"class {name}(Exception):\n    pass\nraise {name}('own words')")
    error = opened().visit("upgrade", "head").error
    assert error.kind.endswith(f".{name}")
    assert error.message == "own words"
