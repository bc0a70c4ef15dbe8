"""Scripts that are executed anew without being read anew are what Alembic would have read."""

from __future__ import annotations

import compileall
import os
import shutil
import sys
import time
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
    """Whose code Python's own loader read, file by file."""
    files.alembic().revision("a1").revision("a2").revision("a3")
    found: list[str] = []
    plain = SourceFileLoader.path_stats

    def told(loader: SourceFileLoader, path: str) -> object:
        found.append(Path(path).name)
        return plain(loader, path)

    monkeypatch.setattr(SourceFileLoader, "path_stats", told)
    return found


@pytest.fixture
def read(files: Files, executed: list[str]) -> Read:
    """Read all revisions as a visit does: the modules by their revision."""
    load = Rereading().loading(ScriptDirectory._load_revisions)

    def again() -> dict[str, ModuleType]:
        directory = ScriptDirectory(str(files.root / "migrations"))
        executed.clear()
        time.sleep(0.06)  # what has changed just now may do so again within the same tick
        return {script.revision: script.module for script in load(directory)}

    return again


def test_modules_are_new_and_as_alembic_makes_them_and_no_file_is_read_for_it(files, read, executed):
    files.revision(
        "a4", head="caller = sys._getframe(1).f_code.co_filename\n__spec__.seen = getattr(__spec__, 'seen', 0) + 1"
    )
    first = read()
    assert sorted(executed) == ["a1.py", "a2.py", "a3.py", "a4.py"]
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
        assert module.__spec__ is not first[name].__spec__
        assert type(module.__loader__) is SourceFileLoader
    assert second["a4"].caller == first["a4"].caller
    assert second["a4"].__spec__.seen == 1


def test_a_file_that_has_changed_just_now_is_read_again(files, executed):
    load = Rereading().loading(ScriptDirectory._load_revisions)
    one = files.root / "migrations" / "versions" / "a3.py"
    one.touch()
    for _ in range(2):
        executed.clear()
        list(load(ScriptDirectory(str(files.root / "migrations"))))
        assert executed


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


@pytest.mark.parametrize(
    "whose",
    [
        *("alembic.util.load_python_file", "alembic.util.pyfiles.load_module_py", "a script's"),
        *("get_code", "exec_module", "source_to_code", "get_data"),
    ],
)
def test_a_way_of_reading_that_the_project_put_there_is_its_own(files, read, executed, monkeypatch, whose):

    read()
    assert read()
    assert executed == []
    calls = []

    def counted(plain):
        def told(*args, **more):
            calls.append(args)
            return plain(*args, **more)

        return told

    if whose == "a script's":
        monkeypatch.setattr(Script, "_from_path", staticmethod(counted(Script._from_path)))
    elif "." not in whose:
        monkeypatch.setattr(SourceFileLoader, whose, counted(getattr(SourceFileLoader, whose)), raising=False)
    else:
        module, _, name = whose.rpartition(".")
        monkeypatch.setattr(sys.modules[module], name, counted(getattr(sys.modules[module], name)))
    for _ in range(2):
        shutil.rmtree(files.root / "migrations" / "versions" / "__pycache__", ignore_errors=True)
        calls.clear()
        assert sorted(read()) == ["a1", "a2", "a3"]
        assert len(calls) >= 3


def test_a_hook_that_comes_in_the_middle_stays(files, read, monkeypatch):
    """As of a tool that the first revision imports."""
    plain = SourceFileLoader.get_code
    monkeypatch.setattr(SourceFileLoader, "hook", lambda loader, name: plain(loader, name), raising=False)
    files.revision("a0", head="from importlib.machinery import SourceFileLoader as L\nL.get_code = L.hook", after=None)
    try:
        for _ in range(2):
            assert "a3" in read()
            assert SourceFileLoader.get_code is SourceFileLoader.hook
    finally:
        del SourceFileLoader.get_code


WRAPS = """
from importlib.machinery import SourceFileLoader as L
L.inner = L.get_code
L.get_code = lambda self, name: L.inner(self, name)
"""


def test_one_that_was_put_around_ours_gets_what_is_in_the_files(files, read):
    path = files.revision("a4", head=f"value = 1\n{WRAPS}").root / "migrations" / "versions" / "a4.py"
    try:
        assert read()["a4"].value == 1
        path.write_text(path.read_text().replace(WRAPS, "").replace("value = 1", "value = 2"))
        for _ in range(2):
            assert read()["a4"].value == 2
    finally:
        del SourceFileLoader.get_code
        del SourceFileLoader.inner


def test_what_a_script_imports_is_its_own_matter(files, read, monkeypatch):
    """It may change it, and import it again, in the middle of a load and between two."""
    helper = files.write("helped/helper_of_a4.py", "value = 0\n")
    monkeypatch.syspath_prepend(str(helper.parent))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    files.revision(
        "a4",
        head="import importlib, pathlib, helper_of_a4 as helper\nfile = pathlib.Path(helper.__file__)\n"
        "file.write_text('value = 1\\n' + file.read_text())\nimportlib.reload(helper)\n"
        "file.write_text(f'value = {len(file.read_text())}\\n')\nimportlib.reload(helper)\nvalue = helper.value",
    )
    values = [read()["a4"].value for _ in range(3)]
    assert values == [20, 21, 21]
    del sys.modules["helper_of_a4"]


def test_a_script_without_source_is_read_each_time(files, executed):
    versions = files.root / "migrations" / "versions"
    compileall.compile_dir(versions, legacy=True, quiet=1)
    (versions / "a2.py").unlink()
    load = Rereading().loading(ScriptDirectory._load_revisions)
    time.sleep(0.06)
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
