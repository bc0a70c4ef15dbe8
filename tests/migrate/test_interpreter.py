"""Whose Python runs the project."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from neontest.errors import ConfigError
from neontest.migrate.interpreter import find_python


def environment(folder: Path) -> Path:
    python = folder / "bin/python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    return python


def test_what_is_wanted_comes_first_then_the_active_one_then_dot_venv_then_ours(tmp_path):
    root = tmp_path / "project"
    root.mkdir()
    assert find_python(root, wanted=None, environ={}) == Path(sys.executable)
    local = environment(root / ".venv")
    assert find_python(root, wanted=None, environ={}) == local
    active = environment(tmp_path / "active")
    environ = {"VIRTUAL_ENV": str(tmp_path / "active")}
    assert find_python(root, wanted=None, environ=environ) == active
    other = environment(tmp_path / "other")
    for wanted in (tmp_path / "other", other, "../other", "../other/bin/python"):
        assert find_python(root, wanted=wanted, environ=environ).resolve() == other.resolve()
        assert find_python(root, wanted=wanted, environ=environ).name == "python"


def test_the_link_of_a_virtual_environment_is_kept(tmp_path):
    python = environment(tmp_path / "venv")
    assert find_python(tmp_path, wanted=python, environ={}) == python


def test_a_name_is_looked_up_on_the_path(tmp_path):
    python = environment(tmp_path)
    assert find_python(tmp_path, wanted="python", environ={"PATH": str(python.parent)}) == python


def test_an_active_environment_that_is_gone_is_passed_over(tmp_path):
    environ = {"VIRTUAL_ENV": str(tmp_path / "gone")}
    assert find_python(tmp_path, wanted=None, environ=environ) == Path(sys.executable)


@pytest.mark.parametrize("wanted", ["no-such-python", "/no/such/python", "folder"])
def test_a_python_that_is_not_there_is_refused(tmp_path, wanted):
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match=wanted):
        find_python(tmp_path, wanted=wanted, environ={"PATH": str(tmp_path)})
