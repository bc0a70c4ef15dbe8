"""What a project reads while it is loaded and migrated is told: all that another run would have to find the same."""

from __future__ import annotations

import os
import socket
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from neontest.migrate import inputs
from neontest.migrate.reports import Inputs
from neontest.stop import Deadline
from tests.migrate.conftest import ENV_PY, Files, Walked

READS = (
    """
import json
from pathlib import Path
import kept.models
here = Path(__file__).parents[1]
settings = json.loads((here / "settings.json").read_text())
"""
    + ENV_PY
)
TREE = "for _ in sorted(os.listdir('scripts')): op.execute(open('scripts/' + _).read())"


def told(walk: Walked, *at: str) -> Inputs:
    return walk.session.inputs(at, deadline=Deadline(30, what="what was read"))


def all_told(opened: Callable[..., Walked]) -> Inputs:
    """What was read up to a1, of which nothing stayed unseen."""
    walk = opened(inputs=True)
    visit = walk.visit("upgrade", "a1")
    assert visit.moved, visit.error
    found = told(walk, "a1")
    assert found.unseen is None
    return found


def names(files: Files, found: Inputs) -> set[str]:
    return {os.path.relpath(name, files.root) for name in found.files}


def reading(files: Files) -> Files:
    files.alembic(READS)
    files.write("settings.json", "{}")
    files.write("kept/models.py", "from kept import more\n")
    files.write("kept/more.py", "")
    files.write("kept/nobody.py", "")
    files.write("scripts/one.sql", "CREATE TABLE IF NOT EXISTS one ()")
    files.write("scripts/two.sql", "CREATE TABLE IF NOT EXISTS two ()")
    files.revision("a1", TREE, "from kept import nobody").table("b2", "b")
    return files


READ = {
    *("alembic.ini", "migrations/env.py", "migrations/versions/a1.py", "settings.json"),
    *("kept/models.py", "kept/more.py", "scripts/one.sql", "scripts/two.sql"),
}


def test_files_and_folders_that_were_read_are_told_but_no_revision_above(files, opened):
    reading(files)
    walk = opened(inputs=True)
    assert walk.visit("upgrade", "a1").moved
    found = told(walk, "a1")
    assert found.unseen is None
    assert names(files, found) == READ
    assert {name for name in found.folders if name.startswith(str(files.root))} == {str(files.root / "scripts")}
    assert found.packages
    assert {name: inputs.digest(name) for name in found.files} == found.files
    assert {name: inputs.listing(name) for name in found.folders} == found.folders
    assert {name: inputs.installed(name) for name in found.packages} == found.packages
    assert walk.visit("upgrade", "b2").moved


def test_what_is_compiled_by_now_is_told_by_its_source(files, opened):
    reading(files)
    first = opened(inputs=True)
    assert first.visit("upgrade", "a1").moved
    assert list(files.root.glob("migrations/versions/__pycache__/a1.*.pyc"))
    assert list(files.root.glob("kept/__pycache__/more.*.pyc"))
    before = told(first, "a1")
    assert first.visit("downgrade", "base").moved
    again = opened(inputs=True)
    assert again.visit("upgrade", "a1").moved
    assert told(again, "a1").files == before.files


def test_all_that_the_start_needs_counts_and_nothing_beside_it(files, opened):
    files.alembic().table("a1", "a").table("b2", "b").revision("c3", after="a1")
    walk = opened(inputs=True)
    assert walk.visit("upgrade", "b2").moved
    assert {Path(name).name for name in told(walk, "b2").files} >= {"a1.py", "b2.py"}
    assert "c3.py" not in {Path(name).name for name in told(walk, "b2").files}
    assert {"a1.py", "b2.py", "c3.py"} & {Path(name).name for name in told(walk).files} == set()


@pytest.mark.parametrize(
    ("does", "why"),
    [
        ("import subprocess; subprocess.run([sys.executable, '-c', ''])", "a program was run"),
        ("os.system('true')", "a program was run"),
        ("os.waitpid(os.fork() or os._exit(0), 0)", "the process was forked"),
        ("import sqlite3; sqlite3.connect(':memory:')", "another database was opened"),
        ("import socket; socket.create_connection(('127.0.0.1', {port})).close()", "somewhere else than the database"),
        ("open('seen', 'r').read(); open('seen', 'a').write('more')", "changed meanwhile"),
        ("open('large', 'wb').truncate((64 << 20) + 1); os.rename('large', 'big'); open('big').close()", "too large"),
    ],
)
def test_what_may_come_out_otherwise_another_time_is_said(files, opened, does, why):
    files.write("seen", "seen")
    with socket.create_server(("127.0.0.1", 0)) as server:
        files.alembic().revision("a1", does.replace("{port}", str(server.getsockname()[1])))
        walk = opened(inputs=True)
        assert walk.visit("upgrade", "a1").moved
        assert why in (told(walk, "a1").unseen or "")


@pytest.mark.parametrize(
    "does",
    [
        "open('made', 'w').write('x'); assert open('made').read() == 'x'",
        "open('log', 'a').write('x')",
        "os.close(os.open('made', os.O_WRONLY | os.O_CREAT))",
        "import tempfile; tempfile.TemporaryFile().close(); tempfile.NamedTemporaryFile().close()",
        "import tempfile, shutil; at = tempfile.mkdtemp(); os.makedirs(at + '/a/b'); shutil.rmtree(at)",
        "import tempfile\nwith tempfile.TemporaryDirectory() as at:\n    open(at + '/made', 'w').close()",
        "os.close(os.open('.', os.O_RDONLY)); os.listdir(os.open('/proc/self', os.O_RDONLY))",
        "os.mkfifo('made'); os.close(os.open('made', os.O_RDWR | os.O_NONBLOCK)); os.unlink('made')",
        "sys.path += [None, b'/tmp']",
        "open('/dev/null').close(); open('/proc/self/stat').close()",
        "import socket; socket.create_connection((os.environ['PGHOST'], int(os.environ['PGPORT']))).close()",
    ],
)
def test_what_a_migration_writes_or_the_system_makes_is_not_read(files, opened, does):
    files.write("log", "")
    files.alembic().revision("a1", does)
    found = all_told(opened)
    assert {Path(name).name for name in found.files} & {"made", "log", "null", "stat"} == set()


def test_a_file_that_was_looked_for_in_vain_counts_until_it_is_there(files, opened):
    files.alembic().revision("a1", "try:\n    open('extra.sql')\nexcept FileNotFoundError:\n    pass")
    walk = opened(inputs=True)
    assert walk.visit("upgrade", "a1").moved
    found = told(walk, "a1")
    name = str(files.root / "extra.sql")
    assert found.files[name] == inputs.MISSING == inputs.digest(name)
    files.write("extra.sql", "")
    assert inputs.digest(name) != inputs.MISSING


@pytest.mark.parametrize(
    ("does", "name"),
    [
        ("os.symlink('sub/deep', 'link'); assert open('link/../in.txt').read() == 'in'", "link/../in.txt"),
        ("open('in.txt', 'a').close(); open('in.txt').read()", "in.txt"),
        ("os.read(os.open('in.txt', os.O_RDONLY), 9)", "in.txt"),
        ("from importlib.resources import files; (files('sub') / 'in.txt').read_text()", "sub/in.txt"),
    ],
)
def test_files_that_are_read_in_unusual_ways_are_told(files, opened, does, name):
    files.write("sub/deep/x", "").parent.parent.joinpath("in.txt").write_text("in")
    files.write("in.txt", "in")
    files.alembic().revision("a1", does)
    found = all_told(opened)
    assert str(files.root / name) in found.files


@pytest.mark.parametrize(
    "does",
    [
        "list(os.fwalk('sub'))",
        "list(os.walk('sub'))",
        "from importlib.resources import files; list(files('sub').iterdir())",
        "from pathlib import Path; list(Path('sub').iterdir())",
        "import glob; glob.glob('sub/*')",
        "import pkgutil; list(pkgutil.iter_modules(['sub']))",
    ],
)
def test_folders_that_are_listed_in_unusual_ways_are_told(files, opened, does):
    files.write("sub/one.py", "")
    files.alembic().revision("a1", does)
    found = all_told(opened)
    assert str(files.root / "sub") in found.folders


def test_a_file_that_only_its_folder_knows_is_not_known(files, opened):
    files.write("sub/in.txt", "in")
    files.alembic().revision("a1", "os.open('in.txt', os.O_RDONLY, dir_fd=os.open('sub', os.O_RDONLY))")
    walk = opened(inputs=True)
    assert walk.visit("upgrade", "a1").moved
    assert told(walk, "a1").unseen == "in.txt was opened from within a folder"


def test_a_revision_with_points_in_its_name_is_told_by_its_source(files, opened):
    files.alembic().revision("a1")
    dotted = files.root / "migrations/versions/2024.01.05_a1.py"
    (files.root / "migrations/versions/a1.py").rename(dotted)
    for _ in range(2):
        walk = opened(inputs=True)
        assert walk.visit("upgrade", "a1").moved
        assert str(dotted) in told(walk, "a1").files
        assert walk.visit("downgrade", "base").moved


def test_sources_whose_compiled_files_lie_elsewhere_are_told(files, opened, tmp_path):
    files.alembic("import models\n" + ENV_PY).table("a1", "a").write("models.py", "")
    for _ in range(2):
        walk = opened(inputs=True, environ={"PYTHONPYCACHEPREFIX": str(tmp_path / "cache")})
        assert walk.visit("upgrade", "a1").moved
        assert {"models.py", "migrations/env.py", "migrations/versions/a1.py"} <= names(files, told(walk, "a1"))
        assert walk.visit("downgrade", "base").moved


def test_migrations_among_installed_packages_are_told(files, opened):
    lib = files.root / "lib/site-packages/shop"
    files.alembic().table("a1", "a")
    lib.parent.mkdir(parents=True)
    (files.root / "migrations").rename(lib)
    ini = files.root / "alembic.ini"
    ini.write_text(ini.read_text().replace("%(here)s/migrations", "%(here)s/lib/site-packages/shop"))
    walk = opened(inputs=True)
    assert walk.visit("upgrade", "a1").moved
    assert {str(lib / "env.py"), str(lib / "versions/a1.py")} <= set(told(walk, "a1").files)


def test_another_module_of_a_name_that_would_come_first_changes_a_folder(files, opened, tmp_path):
    early = tmp_path / "early"
    early.mkdir()
    files.alembic("import models\n" + ENV_PY).table("a1", "a").write("models.py", "")
    walk = opened(inputs=True, environ={"PYTHONPATH": str(early)})
    assert walk.visit("upgrade", "a1").moved
    found = told(walk, "a1")
    assert found.folders[str(early)] == inputs.listing(str(early))
    (early / "models.py").touch()
    assert found.folders[str(early)] != inputs.listing(str(early))


def test_where_modules_are_looked_for_counts_within_the_project_where_its_names_do_not(files, opened):
    places = (".venv/lib/site-packages", ".local", "seen", "seen/../../above")
    for place in places:
        files.write(f"{place}/thing-1.0.dist-info/RECORD" if "packages" in place else f"{place}/one.py", "")
    paths = "".join(f"import sys; sys.path.append({str(files.root / each)!r})\n" for each in places)
    files.alembic(paths + ENV_PY).table("a1", "a")
    walk = opened(inputs=True)
    assert walk.visit("upgrade", "a1").moved
    found = told(walk, "a1")
    assert str(files.root / ".venv/lib/site-packages") in found.packages
    assert {str(files.root / ".local"), str(files.root.parent / "above")} <= set(found.folders)
    assert str(files.root / "seen") not in found.folders


def test_a_folder_where_something_is_installed_may_have_modules_too(files, opened, tmp_path):
    sibling = tmp_path / "sibling"
    (sibling / "shared.egg-info").mkdir(parents=True)
    (sibling / "shared.egg-info" / "PKG-INFO").touch()
    files.alembic().table("a1", "a")
    walk = opened(inputs=True, environ={"PYTHONPATH": str(sibling)})
    assert walk.visit("upgrade", "a1").moved
    found = told(walk, "a1")
    assert str(sibling) in found.folders
    assert str(sibling) in found.packages


def test_what_was_imported_before_counts_too(files, opened):
    files.write("early/sitecustomize.py", "x = 1\n")
    files.alembic().table("a1", "a")
    walk = opened(inputs=True, environ={"PYTHONPATH": str(files.root / "early")})
    assert walk.visit("upgrade", "a1").moved
    assert "early/sitecustomize.py" in names(files, told(walk, "a1"))


def test_nothing_is_noted_where_nobody_asks(files, opened):
    files.alembic().table("a1", "a")
    walk = opened()
    assert walk.visit("upgrade", "a1").moved
    assert told(walk, "a1").files == {}


def test_a_file_that_cannot_be_noted_disturbs_no_migration(files, opened):
    files.alembic().revision(
        "a1", "try:\n    open('a' * 5000)\nexcept OSError:\n    pass\nos.chdir('/')\nopen('dev/null')"
    )
    walk = opened(inputs=True)
    assert walk.visit("upgrade", "a1").moved
    assert told(walk, "a1").unseen is None


def test_an_asynchronous_driver_connects_to_the_database_and_to_nothing_else(files, opened):
    pytest.importorskip("asyncpg")
    env_py = (
        "import asyncio\nfrom alembic import context\nfrom sqlalchemy.ext.asyncio import create_async_engine\n"
        "def go(connection):\n    context.configure(connection=connection)\n"
        "    with context.begin_transaction():\n        context.run_migrations()\n"
        "async def main():\n"
        "    engine = create_async_engine(context.config.get_main_option('sqlalchemy.url'))\n"
        "    async with engine.connect() as connection:\n        await connection.run_sync(go)\n"
        "        await connection.commit()\n"
        "    await engine.dispose()\nasyncio.run(main())\n"
    )
    files.alembic(env_py).table("a1", "a")
    walk = opened(inputs=True, asynchronous=True)
    visit = walk.visit("upgrade", "a1")
    assert visit.moved, visit.error
    assert told(walk, "a1").unseen is None


@pytest.mark.parametrize(
    ("mode", "flags", "way"),
    [
        ("rb", 0, "read"), ("r+b", 0, "read"), ("ab+", 0, "read"), ("wb", 0, "made"), ("w+b", 0, "made"),
        ("xb+", 0, "made"), ("ab", 0, "added"), (None, os.O_RDONLY, "read"), (None, os.O_RDWR, "read"),
        (None, os.O_RDWR | os.O_EXCL, "made"), (None, os.O_WRONLY, "added"), (None, os.O_RDWR | os.O_TRUNC, "made"),
        (None, os.O_WRONLY | os.O_CREAT, "added"),
    ],
)  # fmt: skip
def test_what_was_in_a_file_before_is_read_or_gone_or_added_to(mode, flags, way):
    assert inputs.way(mode, flags) == way


TAG = sys.implementation.cache_tag


@pytest.mark.parametrize(
    ("compiled", "source"),
    [
        (f"__pycache__/one.{TAG}.pyc", "one.py"),
        (f"__pycache__/one.{TAG}.opt-1.pyc", "one.py"),
        (f"__pycache__/2024.01.05_one.{TAG}.pyc", "2024.01.05_one.py"),
        ("one.pyc", "one.py"),
        ("none.pyc", "none.pyc"),
        (f"__pycache__/none.{TAG}.pyc", f"__pycache__/none.{TAG}.pyc"),
    ],
)
def test_a_compiled_file_is_known_by_its_source(tmp_path, compiled, source):
    for name in ("one.py", "2024.01.05_one.py"):
        (tmp_path / name).touch()
    assert inputs.compiled_from(str(tmp_path / compiled)) == str(tmp_path / source)


def test_names_in_a_folder_count_without_what_is_compiled(tmp_path):
    (tmp_path / "one.py").touch()
    before = inputs.listing(str(tmp_path))
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "one.pyc").touch()
    assert inputs.listing(str(tmp_path)) == before != inputs.MISSING
    (tmp_path / "two.py").touch()
    assert inputs.listing(str(tmp_path)) != before
    assert inputs.listing(str(tmp_path / "nowhere")) == inputs.MISSING


def test_installed_packages_count_by_name_and_version_and_when_they_came(tmp_path):
    (tmp_path / "thing").mkdir()
    assert inputs.installed(str(tmp_path)) == inputs.MISSING
    record = tmp_path / "thing-1.0.dist-info" / "RECORD"
    record.parent.mkdir()
    record.touch()
    seen = [inputs.installed(str(tmp_path))]
    os.utime(record, (1, 1))  # the same version, put there again
    seen.append(inputs.installed(str(tmp_path)))
    record.parent.rename(tmp_path / "thing-1.1.dist-info")
    seen.append(inputs.installed(str(tmp_path)))
    for where in ("/one", "/other"):
        (tmp_path / "editable.pth").write_text(where)
        seen.append(inputs.installed(str(tmp_path)))
    assert len(set(seen)) == len(seen)


def test_to_compare_leaves_nothing_open(tmp_path):
    def opened() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = opened()
    assert inputs.installed(sysconfig.get_path("purelib")) != inputs.MISSING
    assert inputs.digest(str(tmp_path)) == inputs.MISSING
    assert opened() == before


def test_the_library_of_python_is_no_input():
    assert inputs.library(os.__file__)
    assert inputs.library(pytest.__file__)
    assert inputs.library(inputs.__file__)
    assert not inputs.library(__file__)
    assert not inputs.library(sys.executable)
