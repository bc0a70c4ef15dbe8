"""Scripts that are executed anew without being read anew are what Alembic would have read."""

from __future__ import annotations

import compileall
import os
import shutil
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest
from alembic.script import Script, ScriptDirectory

from neontest.migrate.rereading import Rereading
from tests.migrate.conftest import Files

Read = Callable[[], dict[str, ModuleType]]


@pytest.fixture
def executed(files: Files, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Whose code Python's own loader fetched, file by file."""
    files.alembic().revision("a1").revision("a2").revision("a3")
    found: list[str] = []
    plain = SourceFileLoader.exec_module

    def told(loader: SourceFileLoader, module: ModuleType) -> None:
        found.append(Path(loader.path).name)
        plain(loader, module)

    monkeypatch.setattr(SourceFileLoader, "exec_module", told)
    return found


@pytest.fixture
def read(files: Files, executed: list[str]) -> Read:
    """Read all revisions as a visit does: the modules by their revision."""
    load = Rereading().loading(ScriptDirectory._load_revisions)

    def again() -> dict[str, ModuleType]:
        directory = ScriptDirectory(str(files.root / "migrations"))
        executed.clear()
        return {script.revision: script.module for script in load(directory)}

    return again


def test_modules_are_new_and_as_alembic_makes_them_and_no_file_is_read_for_it(files, read, executed):
    first = read()
    assert sorted(executed) == ["a1.py", "a2.py", "a3.py"]
    first["a1"].seen = True
    second = read()
    assert executed == []
    assert sorted(second) == sorted(first)
    for name, module in second.items():
        assert module is not first[name]
        assert not hasattr(module, "seen")
        assert module.upgrade is not first[name].upgrade
        assert module.upgrade.__globals__ is vars(module)
        for told in ("__name__", "__file__", "__cached__", "__doc__", "__package__", "revision", "down_revision"):
            assert getattr(module, told) == getattr(first[name], told)
        assert type(module.__loader__) is SourceFileLoader


def test_scripts_make_the_same_history(files, monkeypatch):
    files.alembic().revision("a1").revision("a2", head="branch_labels = 'b'\ndepends_on = 'a1'").revision("a3")
    plain = ScriptDirectory._load_revisions
    monkeypatch.setattr(ScriptDirectory, "_load_revisions", Rereading().loading(plain))
    told = []
    for _ in range(2):
        directory = ScriptDirectory(str(files.root / "migrations"))
        told.append([(str(each), each.path, sorted(each.branch_labels)) for each in directory.walk_revisions()])
    assert told[0] == told[1]
    assert len(told[0]) == 3


@pytest.mark.parametrize("what", ["changed", "same size", "added", "removed", "replaced by a link", "broken"])
def test_what_is_not_as_it_was_is_read(files, read, executed, what):
    versions = files.root / "migrations" / "versions"
    read()
    one = versions / "a3.py"
    text = one.read_text()
    if what == "changed":
        one.write_text(text + "more = 1\n")
        assert read()["a3"].more == 1
    elif what == "same size":
        stat = one.stat()
        one.write_text(text.replace('"""a3"""', '"""b3"""'))
        os.utime(one, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        shutil.rmtree(versions / "__pycache__", ignore_errors=True)
        assert read()["a3"].__doc__ == "b3"
    elif what == "added":
        files.revision("a4")
        assert "a4" in read()
    elif what == "removed":
        one.unlink()
        assert sorted(read()) == ["a1", "a2"]
    elif what == "replaced by a link":
        one.rename(files.root / "other.py")
        one.symlink_to(files.root / "other.py")
        (files.root / "other.py").write_text(text + "more = 2\n")
        assert read()["a3"].more == 2
    else:
        one.write_text(text + "nothing(")
        with pytest.raises(SyntaxError):
            read()
        one.write_text(text)
        assert sorted(read()) == ["a1", "a2", "a3"]
    if what != "broken":
        assert executed
        assert read()
        assert executed == []


def test_what_a_module_raises_when_it_is_executed_again_is_raised(files, read):
    path = files.root / "switch"
    files.revision("a4", head=f"assert not os.path.exists({str(path)!r}), 'now it fails'")
    read()
    path.touch()
    with pytest.raises(AssertionError, match="now it fails"):
        read()
    path.unlink()
    assert "a4" in read()


@pytest.mark.parametrize("whose", ["alembic.util.load_python_file", "a script's", "the loader's"])
def test_a_way_of_reading_that_the_project_put_there_is_its_own(files, read, executed, monkeypatch, whose):
    import alembic.util

    read()
    assert read()
    assert executed == []
    calls = []

    def counted(plain):
        def told(*args):
            calls.append(args)
            return plain(*args)

        return told

    if whose == "the loader's":
        monkeypatch.setattr(SourceFileLoader, "get_code", counted(SourceFileLoader.get_code), raising=False)
    elif whose == "a script's":
        monkeypatch.setattr(Script, "_from_path", staticmethod(counted(Script._from_path)))
    else:
        monkeypatch.setattr(alembic.util, "load_python_file", counted(alembic.util.load_python_file))
    for _ in range(2):
        calls.clear()
        assert sorted(read()) == ["a1", "a2", "a3"]
        assert len(calls) == 3


def test_a_script_without_source_is_read_each_time(files, executed):
    versions = files.root / "migrations" / "versions"
    compileall.compile_dir(versions, legacy=True, quiet=1)
    (versions / "a2.py").unlink()
    load = Rereading().loading(ScriptDirectory._load_revisions)
    for _ in range(2):
        executed.clear()
        directory = ScriptDirectory(str(files.root / "migrations"), sourceless=True)
        assert sorted(script.revision for script in load(directory)) == ["a1", "a2", "a3"]
        assert sorted(executed) == ["a1.py", "a3.py"]


def test_nothing_stays_in_the_loader(files, read):
    read()
    assert "get_code" not in vars(SourceFileLoader)
    (files.root / "migrations" / "versions" / "a4.py").write_text("nothing(")
    with pytest.raises(SyntaxError):
        read()
    assert "get_code" not in vars(SourceFileLoader)


def test_an_upgrade_that_rewrites_a_revision_is_followed_as_by_another_alembic(files, database, opened):
    files.alembic().table("a1", "t1")
    path = files.root / "migrations" / "versions" / "a1.py"
    files.revision(
        "a2", f"path = {str(path)!r}\ntext = open(path).read()\nopen(path, 'w').write(text + '# more\\nMARK = 1\\n')"
    )
    files.revision("a3", "pass", "from alembic import context\nassert context.script.get_revision('a1').module.MARK")
    walk = opened()
    assert walk.visit("upgrade", "head").error is None
    assert walk.visit("downgrade", "base").error is None
