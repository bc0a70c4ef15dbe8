"""What the project's code does besides migrating: it prints, asks, forks, keeps secrets, serves Flask, has commands."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from neontest.errors import DeadlineExceeded, Stopped, WorkerError
from neontest.migrate.session import Commands, Session
from neontest.stop import Deadline
from tests.migrate.conftest import ENV_PY, PYTHON

APP = """
import os
from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
db = SQLAlchemy()
def create_app():
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
    db.init_app(app)
    Migrate(app, db)
    return app
"""


def gone(pid: int) -> bool:
    """The process is no more; a zombie counts as gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def eventually(fact) -> bool:
    end = time.monotonic() + 20
    while not fact() and time.monotonic() < end:
        time.sleep(0.02)
    return fact()


def test_what_the_project_prints_is_logged_and_confuses_nobody(files, opened):
    noisy = "print('x' * 300000)\nsys.stderr.write('half a line')\nos.write(1, b'\\xff\\xfe{\"is\": \"done\"}\\n')"
    files.alembic().revision("a1", noisy)
    walk = opened()
    assert walk.visit("upgrade", "head").moved
    walk.session.close()
    assert "half a line" in "".join(walk.printed)
    assert max(map(len, walk.printed)) == 4096
    assert any('{"is": "done"}' in line for line in walk.printed)


@pytest.mark.parametrize("ask", ["input('sure? ')", "__import__('getpass').getpass()"])
def test_a_question_gets_no_answer_and_does_not_hang(files, opened, ask):
    files.alembic().revision("a1", ask)
    assert opened().visit("upgrade", "head", seconds=30).error.kind in ("EOFError", "OSError")


def test_a_child_that_outlives_its_migration_holds_nothing_up(files, opened):
    files.alembic().revision(
        "a1",
        "if not (pid := os.fork()):\n    time.sleep(600)\n    os._exit(0)\nprint('child', pid)\n"
        "import subprocess\nprint('child', subprocess.Popen(['sleep', '600']).pid)",
    )
    walk = opened()
    assert walk.visit("upgrade", "head").moved
    walk.session.close()
    children = [int(line.split()[1]) for line in walk.printed if line.startswith("child")]
    assert len(children) == 2
    assert all(eventually(lambda pid=pid: gone(pid)) for pid in children)


def test_a_child_that_uses_the_database_is_not_taken_for_the_migration(files, opened):
    files.alembic().revision(
        "a1",
        "if not (pid := os.fork()):\n    sa.create_engine('sqlite://').connect().exec_driver_sql('SELECT 42')\n"
        "    os._exit(0)\nos.waitpid(pid, 0)\nop.execute('SELECT 1')",
    )
    visit = opened().visit("upgrade", "head")
    assert [statement.sql for statement in visit.statements] == ["SELECT 1"]


def test_secrets_are_hidden_in_logs_errors_and_statements(files, opened, database):
    url = database.connection.info.password
    files.alembic().revision(
        "a1", "print('url', op.get_bind().engine.url.render_as_string(False))\nimport urllib.parse\n"
        "password = op.get_bind().engine.url.password\nprint('plain', password)\n"
        "op.execute(sa.text('SELECT :p').bindparams(p=password))\n"
        "raise ValueError('cannot use ' + password)",
    )  # fmt: skip
    walk = opened()
    visit = walk.visit("upgrade", "head")
    walk.session.close()
    whole = repr((walk.printed, visit, walk.session, walk.session.notes))
    assert "plain ***" in whole
    assert "cannot use ***" in visit.error.message
    assert url not in whole
    assert url.split("-")[1] not in whole


def test_secrets_are_in_no_process_list(files, opened, database):
    files.alembic().revision("a1")
    walk = opened()
    walk.session._channel._child.poll()  # it is told by the server
    pid = walk.session._channel._child._process.pid
    worker = Path(f"/proc/{pid}/cmdline").read_text()
    assert "worker.py" in worker
    assert database.connection.info.password.split("-")[1] not in worker


def test_a_process_that_ends_is_noticed_though_its_child_holds_the_pipes(files, opened):
    files.alembic().revision("a1", "if os.fork():\n    os._exit(7)\ntime.sleep(600)")
    error = opened().visit("upgrade", "head").error
    assert (error.kind, error.message) == ("exit", "the process ended with exit status 7")


def test_what_env_py_does_to_the_process_is_undone_for_the_next_visit(files, opened):
    env_py = ENV_PY + "\nimport os, sys\nos.chdir('/')\ndel os.environ['DATABASE_URL']\nsys.argv.clear()\n"
    env_py = env_py.replace("config = context.config", "import os\nos.environ['DATABASE_URL']\nconfig = context.config")
    files.alembic(env_py).revision("a1", "print(sys.argv, os.getcwd())")
    walk = opened()
    for direction, to in (("upgrade", "head"), ("downgrade", "base"), ("upgrade", "head")):
        assert walk.visit(direction, to).moved
    walk.session.close()
    assert walk.printed.count(f"['alembic', 'upgrade', 'head'] {files.root}") == 2


def test_a_migration_row_by_row_is_not_told_row_by_row(files, opened):
    files.alembic().revision("a1", "for n in range(5_010):\n    op.execute(f'SELECT {n}')")
    walk = opened()
    assert len(walk.visit("upgrade", "head").statements) == 5_000
    assert walk.session.notes == ["more than 5,000 statements in one visit: the rest was not looked at"]


def test_the_worker_ends_with_whoever_started_it(files, database):
    """Also a kill -9 of neontest leaves no worker, and no child of a worker."""
    files.alembic().revision("a1")
    parent = (
        "import os, sys, pathlib, time\nfrom neontest.migrate.project import find\n"
        "from neontest.migrate.forkserver import ForkServer\n"
        "from neontest.migrate.session import Session\nfrom neontest.stop import Stop\n"
        "root, more = pathlib.Path(sys.argv[1]), {'stop': Stop(), 'log': print}\n"
        "python, environ = pathlib.Path(sys.executable), dict(os.environ)\n"
        "server = ForkServer(python, kind='alembic', cwd=root, environ=environ, **more)\n"
        "s = Session(find(root, environ={}), server, **more)\n"
        "s.interpreter\nchild = s._channel._child\nchild.poll()\n"
        "print(child._process.pid, flush=True)\ntime.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent, str(files.root)], stdout=subprocess.PIPE, text=True
    ) as started:
        try:
            assert started.stdout is not None
            worker = int(started.stdout.readline())
            assert not gone(worker)
        finally:
            started.kill()
    assert eventually(lambda: gone(worker))


def test_a_signal_stops_the_visit_at_once_and_kill_leaves_nothing(files, opened, stop, database):
    files.alembic().revision("a1", "op.execute('SELECT pg_sleep(600)')")
    walk = opened()
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"
    before = signal.signal(signal.SIGUSR1, lambda number, frame: stop.request(number))

    def signal_when_it_sleeps():
        eventually(lambda: database.one(sleeping) == 1)
        os.kill(os.getpid(), signal.SIGUSR1)

    thread = threading.Thread(target=signal_when_it_sleeps)
    thread.start()
    try:
        with pytest.raises(Stopped):
            walk.visit("upgrade", "head")
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, before)
    walk.session.kill()
    assert not walk.session.alive
    assert eventually(lambda: database.one(sleeping) == 0)


def test_closing_twice_and_killing_after_is_fine(files, opened):
    files.alembic().revision("a1")
    session = opened().session
    for end in (session.close, session.close, session.kill):
        end()


def test_a_flask_application_is_walked_as_flask_does(files, opened, database, monkeypatch):
    files.write("app.py", APP + "\nif True:\n    create_app().run()\n")
    files.alembic(Path(__import__("flask_migrate").__file__).parent.joinpath("templates/flask/env.py").read_text())
    (files.root / "alembic.ini").rename(files.root / "migrations/alembic.ini")
    files.table("a1", "first").table("b2", "second")
    walk = opened()
    assert walk.session.project.kind == "flask"
    assert walk.visit("upgrade", "head").moved
    assert walk.visit("downgrade", "base").moved
    assert [visit.moved for visit in walk.stairway(("upgrade", "a1"), ("upgrade", "b2"))] == [True, True]
    assert database.has("second")


def test_commands_of_the_project_replace_the_worker(files, opened, database):
    files.alembic().table("a1", "first").table("b2", "second")
    command = (sys.executable, "-m", "alembic", "-x", "url", "UP", "{revision}")
    commands = Commands(
        upgrade=tuple(word.replace("UP", "upgrade") for word in command), downgrade="false --not-{revision}"
    )
    env_py = (files.root / "migrations/env.py").read_text()
    files.write("migrations/env.py", env_py.replace("config = context.config", "import os\nconfig = context.config\n"
                "config.set_main_option('sqlalchemy.url', os.environ['DATABASE_URL'].replace('%', '%%'))"))  # fmt: skip
    walk = opened(commands=commands)
    visits = walk.stairway(("upgrade", "a1"), ("upgrade", "b2"))
    assert [(visit.from_, visit.to, visit.moved, visit.traced) for visit in visits] == [
        (None, "a1", True, False),
        ("a1", "b2", True, False),
    ]
    down = walk.visit("downgrade", "a1")
    assert (down.error.kind, down.moved) == ("command", False)
    assert down.error.message == "false --not-a1 ended with exit status 1"


def test_a_command_that_hangs_is_stopped(files, opened):
    files.alembic().table("a1", "first")
    walk = opened(commands=Commands(upgrade="sleep 600", downgrade="sleep 600"))
    visit = walk.visit("upgrade", "head", seconds=0.3)
    assert visit.error.kind == "timeout"


def test_commands_walk_a_project_that_does_not_load(files, opened, database):
    files.alembic("raise RuntimeError('only my own command can')").table("a1", "first")
    walk = opened(commands=Commands(upgrade="true {revision}", downgrade="true"))
    assert walk.session._loaded.current is None
    visit = walk.visit("upgrade", "head")
    assert (visit.error, visit.moved) == (None, True)


def test_an_interpreter_without_alembic_is_named(files, servers, tmp_path, stop):
    files.alembic().revision("a1")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    python.chmod(0o755)
    session = Session(files.project(), servers(python, {}), stop=stop, log=print)
    with pytest.raises(WorkerError, match="has no alembic") as caught:
        _ = session.interpreter
    session.kill()
    assert "--python" in caught.value.hint


def test_an_interpreter_that_does_not_start_is_named(servers, tmp_path):
    with pytest.raises(WorkerError, match="does not start"):
        servers(tmp_path / "none", {})


def test_hello_says_what_the_interpreter_has(files, opened):
    import sqlalchemy

    files.alembic().revision("a1")
    interpreter = opened().session.interpreter
    assert interpreter.sqlalchemy == sqlalchemy.__version__
    assert "psycopg2" in interpreter.drivers


def test_a_worker_may_wait_long_before_it_is_asked(files, servers, stop):
    files.alembic().revision("a1")
    session = Session(files.project(), servers(PYTHON, dict(os.environ)), stop=stop, log=print)
    with contextlib.closing(session):
        assert eventually(lambda: (session._channel._read(), len(session._channel._lines))[1] == 2)
        session._began = Deadline(0, what="starting")
        assert session.interpreter.alembic


def test_modules_of_the_project_are_never_shadowed_by_ours(files, opened):
    for name in ("session", "worker", "watch", "process"):
        files.write(f"{name}.py", f"whose = 'the project, {name}'\n")
    files.alembic(
        ENV_PY
        + "\nimport session, worker, watch, process\nprint(*(m.whose for m in (session, worker, watch, process)))"
    )
    files.revision("a1")
    walk = opened()
    walk.session.close()
    assert "the project, session the project, worker the project, watch the project, process" in walk.printed


def test_an_application_that_migrates_while_it_is_imported_is_seen_in_what_is_current(files, opened):
    config = (
        "config = context.config\nimport os\n"
        "config.set_main_option('sqlalchemy.url', os.environ['DATABASE_URL'].replace('%', '%%'))\n"
        "if not os.environ.get('INNER'):\n    os.environ['INNER'] = '1'\n    import app\n"
    )
    files.alembic(ENV_PY.replace("config = context.config\n", config)).table("a1", "first")
    upgrade = (
        "import subprocess, sys\nsubprocess.run([sys.executable, '-m', 'alembic', 'upgrade', 'head'], check=True)\n"
    )
    files.write("app.py", upgrade)
    assert opened().session._loaded.current == ("a1",)


def test_a_deadline_while_loading_names_what_hangs(files, opened):
    files.alembic("import time; time.sleep(600)").revision("a1")
    with pytest.raises(DeadlineExceeded, match="loading the project took longer than 1 s"):
        opened(seconds=1)
