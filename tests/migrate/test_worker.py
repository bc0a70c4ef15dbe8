"""The worker's own files: what they may use, and what they speak."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import neontest.migrate
from neontest.migrate.forkserver import ForkServer
from neontest.process import Child
from neontest.stop import Stop

FOLDER = Path(neontest.migrate.__file__).parent
FILES = (
    "worker.py",
    "forks.py",
    "walker.py",
    "watch.py",
    "trace.py",
    "driver.py",
    "guard.py",
    "loading.py",
    "looks.py",
    "pause.py",
    "rereading.py",
    "shortcuts.py",
    "models.py",
    "operations.py",
    "unseen.py",
)
OURS = {"neontest_" + name.removesuffix(".py") for name in FILES}
ALLOWED = {"alembic", "sqlalchemy", "flask", "flask_migrate", *OURS}


@pytest.mark.parametrize("name", FILES)
def test_the_worker_is_python_3_8_and_imports_nothing_of_ours(name):
    tree = ast.parse((FOLDER / name).read_text(), feature_version=(3, 8))
    typing_only = {
        id(node)
        for test in ast.walk(tree)
        if isinstance(test, ast.If) and isinstance(test.test, ast.Name) and test.test.id == "TYPE_CHECKING"
        for statement in test.body
        for node in ast.walk(statement)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    assert found - set(sys.stdlib_module_names) <= ALLOWED


def test_one_that_is_told_to_end_while_it_is_still_read_says_nothing(tmp_path):
    (tmp_path / "contextlib.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    command = [sys.executable, str(FOLDER / "worker.py"), "9", "alembic"]
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_annotations_are_never_evaluated():
    """Newer spellings of types in them are no matter then."""
    for name in FILES:
        assert "from __future__ import annotations" in (FOLDER / name).read_text()


def talk(*commands: dict) -> tuple[list[dict], int]:
    """Speak to a worker by hand: all commands at once, then the end of them when it has answered."""
    commands_read, commands_write = os.pipe()
    reports_read, reports_write = os.pipe()
    cancels_read, cancels_write = os.pipe()
    more = {"stop": Stop(), "log": print}
    server = ForkServer(Path(sys.executable), kind="alembic", cwd=Path("/"), environ=dict(os.environ), **more)
    worker = Child(server.worker(commands_read, reports_write, cancels_read, cwd=Path("/")), **more)
    try:
        for theirs in (commands_read, reports_write, cancels_read):
            os.close(theirs)
        for command in commands:
            os.write(commands_write, json.dumps(command).encode() + b"\n")
        with os.fdopen(reports_read) as reports:
            said = []
            for line in reports:
                said.extend(json.loads(line))
                if sum(each["is"] == "done" for each in said) == len([c for c in commands if c["do"] != "close"]):
                    break
        if commands[-1]["do"] != "close":
            os.close(commands_write)
            os.close(cancels_write)
        assert worker.wait(30)
    finally:
        status = worker.end()
        if commands[-1]["do"] == "close":
            os.close(commands_write)
            os.close(cancels_write)
        server.close()
    return said, status


START = {
    "do": "start",
    "kind": "alembic",
    "root": "/",
    "ini": None,
    "toml": None,
    "section": "alembic",
    "scripts": None,
    "x": [],
}


def test_a_worker_says_hello_before_it_knows_any_database():
    said, status = talk(START, {"do": "close"})
    assert [each["is"] for each in said] == ["hello", "done"]
    assert status == 0


def test_a_worker_whose_commands_end_ends_itself_and_its_group():
    said, status = talk(START)
    assert said[-1]["is"] == "done"
    assert status == -9


@pytest.mark.parametrize(
    ("detail", "told"),
    [
        ("Key (email)=(a@b.c) already exists.", "Key (email)=(…) already exists."),
        ("Key (a, lower(b))=(x) is y, z) is duplicated.", "Key (a, lower(b))=(…) is duplicated."),
        ('Key (user_id)=(5) is not present in table "user".', 'Key (user_id)=(…) is not present in table "user".'),
        (
            "Key (d)=([1,5)) conflicts with existing key (d)=([2,3)).",
            "Key (d)=(…) conflicts with existing key (d)=(…).",
        ),
        ("Failing row contains (1, null, Ada (x)).", "Failing row contains (…)."),
        (
            "Partition key of the failing row contains (email) = (a@b.c).",
            "Partition key of the failing row contains (email) = (…).",
        ),
        (
            "MATCH FULL does not allow mixing of null and nonnull key values.",
            "MATCH FULL does not allow mixing of null and nonnull key values.",
        ),
        ("Somebody says a@b.c.", None),
    ],
)
def test_values_of_rows_are_in_no_message(detail: str, told: str | None) -> None:
    from neontest.migrate.watch import without_values

    assert without_values(detail) == told


def test_what_is_no_word_to_go_on_is_obeyed_afterwards():
    """Whoever ends the session while the worker waits need not wait himself until he ends it by force."""
    code = """if True:
        import json, os, worker
        commands, told = os.pipe()
        wire = worker.Wire([commands, os.pipe()[1], os.pipe()[0]], worker.forks.Kept(), shared=False)
        os.write(told, b"".join(json.dumps({"do": word}).encode() + b"\\n" for word in ("go", "stop", "close")))
        print(wire.go_on(), wire.go_on(), wire.go_on(), wire.command()["do"])"""
    done = subprocess.run([sys.executable, "-c", code], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("True False False close\n", "")
