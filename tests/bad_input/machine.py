"""What is wrong with the machine: folders, disk, users, limits, languages, interpreters, Postgres, ports."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bad_input.case import RUN, Case, Place, Refused

Make = Callable[[Place], None]
NOBODY = 65534


def shell(text: str) -> tuple[str, ...]:
    """A shell that does this and becomes neontest."""
    return ("sh", "-c", f'{text}; exec "$@"', "sh")


def executable(name: str, text: str) -> Make:
    def make(place: Place) -> None:
        path = place.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    return make


def owned(user: int, *, closed: tuple[str, ...] = ()) -> Make:
    """The folders of the place are this user's, if root makes them; nobody may write in those that are closed."""

    def make(place: Place) -> None:
        for name in ("root", "home", "ledger"):
            folder = getattr(place, name)
            folder.mkdir(exist_ok=True)
            if os.geteuid() == 0:
                os.chown(folder, user, user)
            elif user != NOBODY:
                raise Refused("only root can be another user")
            if name in closed:
                folder.chmod(0o555)

    return make


def locked(name: str) -> Make:
    """Nobody may read it, and all else is the ordinary user's."""

    def make(place: Place) -> None:
        owned(NOBODY)(place)
        (place.root / name).chmod(0)

    return make


def moved(name: str) -> Make:
    """The whole project lies in a folder of this name inside of its root."""

    def make(place: Place) -> None:
        target = place.root / name
        target.mkdir(parents=True)
        for each in ("alembic.ini", "migrations"):
            (place.root / each).rename(target / each)

    return make


def broken_postgres(text: str | None) -> Make:
    def make(place: Place) -> None:
        for name in ("postgres", "initdb", "pg_ctl", "psql"):
            path = place.root / "bin" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text or "")
            path.chmod(0o755 if text else 0o644)

    return make


LISTENING: list[socket.socket] = []


def port(place: Place) -> None:
    """One that is taken, written down where the command line can read it."""
    taken = socket.create_server(("127.0.0.1", 0))
    LISTENING.append(taken)
    (place.root / "port").write_text(str(taken.getsockname()[1]))


def root_only(place: Place) -> None:
    if os.geteuid():
        raise Refused("only root can")


def in_namespace(place: Place) -> None:
    root_only(place)
    if shutil.which("unshare") is None or os.system("unshare -m true 2>/dev/null"):
        raise Refused("no file system can be mounted here")


def full_ledger(place: Place) -> None:
    in_namespace(place)
    place.ledger.mkdir()


def full_device(place: Place) -> None:
    if not Path("/dev/full").exists():
        raise Refused("there is no /dev/full")


def run(name: str, says: str, **more: Any) -> Case:
    return Case(name=name, says=says, **more)


PASSED = r"passed: 1 revision, whole walk"
CASES = (
    # interpreters
    run(
        "an interpreter that is not there",
        r"there is no Python at /nowhere/python",
        args=(*RUN, "--python", "/nowhere/python"),
    ),
    run("an interpreter's name of 5,000 characters", r"there is no Python at", args=(*RUN, "--python", "x" * 5000)),
    run(
        "an interpreter that is a folder",
        r"there is no Python at migrations",
        args=(*RUN, "--python", "migrations"),
        slow=True,
    ),
    run(
        "an interpreter that is no Python",
        r"/bin/cat cannot be the project's Python",
        args=(*RUN, "--python", "/bin/cat"),
        code=3,
    ),
    run(
        "an interpreter that is a text",
        r"/p cannot be the project's Python",
        args=(*RUN, "--python", "p"),
        make=executable("p", "hello"),
        code=3,
        slow=True,
    ),
    run(
        "an interpreter whose own is gone",
        r"/p cannot be the project's Python",
        args=(*RUN, "--python", "./p"),
        make=executable("p", "#!/nowhere/python\n"),
        code=3,
        slow=True,
    ),
    run(
        "an interpreter that is Python 2",
        r"/p cannot be the project's Python",
        args=(*RUN, "--python", "./p"),
        make=executable(
            "p", "#!/bin/sh\necho '  File \"worker.py\", line 40' >&2\necho 'SyntaxError: invalid syntax' >&2\nexit 1\n"
        ),
        code=3,
        slow=True,
    ),
    run(
        "an interpreter that hangs",
        r"the run took longer than 2 s",
        args=(*RUN, "--python", "./p", "--timeout", "2s"),
        make=executable("p", "#!/bin/sh\nexec sleep 600\n"),
        code=3,
    ),
    run(
        "an interpreter that prints at its start",
        PASSED,
        args=(*RUN, "-v"),
        env={"PYTHONPATH": "{root}/site:/work"},
        code=0,
        files={"site/sitecustomize.py": "print('hello', flush=True)\n"},
        slow=True,
    ),
    run(
        "an interpreter whose start fails",
        r"/venv/bin/python cannot be the project's Python: the process ended with exit status 3",
        env={"VIRTUAL_ENV": "{root}/venv"},
        make=executable("venv/bin/python", "#!/bin/sh\nexit 3\n"),
        code=3,
        slow=True,
    ),
    # Postgres
    run("binaries that are nowhere", r"/nowhere", args=(*RUN, "--postgres", "/nowhere"), code=3),
    run("binaries that are no programs", r"bin", args=(*RUN, "--postgres", "bin"), make=broken_postgres(None), code=3),
    run(
        "binaries that fail",
        r"bin",
        env={"NEONTEST_POSTGRES": "bin"},
        make=broken_postgres("#!/bin/sh\nexit 1\n"),
        code=3,
        slow=True,
    ),
    run(
        "binaries that say what no Postgres says",
        r"bin",
        args=(*RUN, "--postgres", "bin"),
        make=broken_postgres("#!/bin/sh\necho hello\n"),
        code=3,
        slow=True,
    ),
    run(
        "a version that there is not",
        r"no Postgres 7 on this machine",
        args=(*RUN, "--postgres-version", "7"),
        code=3,
        slow=True,
    ),
    run(
        "a version below zero",
        r"no Postgres -1 on this machine",
        args=(*RUN, "--postgres-version", "-1"),
        code=3,
        slow=True,
    ),
    # folders
    run(
        "a ledger that is a file", r"the ledger .*alembic.ini cannot be written", args=(*RUN, "--ledger", "alembic.ini")
    ),
    run(
        "a ledger below a file",
        r"the ledger .*alembic.ini/x cannot be written",
        args=(*RUN, "--ledger", "alembic.ini/x"),
    ),
    run(
        "a ledger's name of 300 characters",
        r"the ledger .* cannot be written: File name too long",
        args=(*RUN, "--ledger", "l" * 300),
    ),
    run("a state that is a file", r"the state folder .*alembic.ini", args=(*RUN, "--state", "alembic.ini")),
    run(
        "a state that is somebody else's work",
        r"is not empty, and neontest did not make it",
        args=(*RUN, "--state", "migrations"),
    ),
    run("a state's name of 300 characters", r"the state folder .* cannot be made", args=(*RUN, "--state", "s" * 300)),
    run("a TMPDIR that is not there", PASSED, env={"TMPDIR": "/nowhere"}, code=0, slow=True),
    run(
        "a ledger that may not be written",
        r"the ledger .* cannot be written: Permission denied",
        user=NOBODY,
        make=owned(NOBODY, closed=("ledger",)),
    ),
    run(
        "a HOME that may not be written",
        r"the ledger .* cannot be written: Permission denied",
        user=NOBODY,
        make=owned(NOBODY, closed=("home",)),
        env={"NEONTEST_LEDGER": None},
        slow=True,
    ),
    run(
        "a state that may not be written",
        r"the state folder .* cannot be made: Permission denied",
        args=(*RUN, "--state", "{home}/state"),
        user=NOBODY,
        make=owned(NOBODY, closed=("home",)),
        slow=True,
    ),
    run(
        "a project that may not be written",
        PASSED,
        args=(*RUN, "--state", "{home}/state"),
        user=NOBODY,
        make=owned(NOBODY, closed=("root",)),
        code=0,
        slow=True,
    ),
    run(
        "a project that may not be read",
        r"Directory '.' is not readable",
        user=NOBODY,
        make=lambda place: place.root.chmod(0o111),
        slow=True,
    ),
    run(
        "an alembic.ini that may not be read",
        r"alembic.ini cannot be read: Permission denied",
        user=NOBODY,
        make=locked("alembic.ini"),
        slow=True,
    ),
    run(
        "a pyproject.toml that may not be read",
        r"pyproject.toml cannot be read: Permission denied",
        user=NOBODY,
        files={"pyproject.toml": ""},
        make=locked("pyproject.toml"),
        slow=True,
    ),
    run(
        "a revision that may not be read",
        r"r1.py cannot be read: Permission denied",
        user=NOBODY,
        make=locked("migrations/versions/r1.py"),
        code=1,
        slow=True,
    ),
    run(
        "versions that may not be read",
        r"versions.*cannot be read: Permission denied",
        user=NOBODY,
        make=locked("migrations/versions"),
        code=1,
    ),
    run("no HOME", r"engine ", args=("config",), env={"HOME": None}, code=0),
    run("no HOME and no ledger", PASSED, env={"HOME": None, "XDG_STATE_HOME": "{tmp}/x"}, code=0, slow=True),
    run("a HOME that is no path", r"the ledger", env={"HOME": "/dev/null", "NEONTEST_LEDGER": None}, slow=True),
    run(
        "a folder that was deleted",
        r"the current folder cannot be used",
        through=shell('mkdir "$TMPDIR/x"; cd "$TMPDIR/x"; rmdir "$TMPDIR/x"'),
    ),
    # disk
    run(
        "a full disk under the ledger",
        r"the ledger .* cannot be written: No space left on device",
        through=("unshare", "-m", *shell("mount -t tmpfs -o size=4k,nr_inodes=2 full {ledger}; : > {ledger}/x")),
        make=full_ledger,
    ),
    run(
        "a full disk under TMPDIR",
        PASSED,
        through=("unshare", "-m", *shell("mount -t tmpfs -o size=4k,nr_inodes=2 full {tmp}; : > {tmp}/x")),
        make=in_namespace,
        code=0,
        slow=True,
    ),
    run(
        "a full disk under the state",
        r"No space left",
        args=(*RUN, "--state", "{home}/state"),
        through=("unshare", "-m", *shell("mount -t tmpfs -o size=2m full {home}; chmod 755 {home}")),
        make=in_namespace,
        code=3,
        slow=True,
    ),
    run(
        "a file that may not be long",
        r"could not be made: .*File too large",
        through=shell("ulimit -f 8"),
        code=3,
        slow=True,
    ),
    # outputs
    run(
        "a standard output that is full",
        r"standard output cannot be written: No space left on device",
        args=("explain",),
        through=shell("exec >/dev/full"),
        make=full_device,
        code=3,
    ),
    run("a standard output that is closed", r"^", args=("explain",), through=shell("exec >&-"), code=0, silent=True),
    run("a standard input that is closed", PASSED, through=shell("exec <&-"), code=0, slow=True),
    run("all three closed, and a run", r"^", through=shell("exec <&- >&- 2>&-"), code=0, silent=True, slow=True),
    run(
        "a standard error that is closed",
        r"^",
        args=("explain", "NONSENSE"),
        through=shell("exec 2>&-"),
        silent=True,
        slow=True,
    ),
    run(
        "a standard error that is full",
        r"^",
        args=("explain", "NONSENSE"),
        through=shell("exec 2>/dev/full"),
        make=full_device,
        silent=True,
    ),
    # languages
    run(
        "no locale and ASCII",
        r"no revision here begins with",
        args=(*RUN, "--from-revision", "ünïcödé"),
        env={"LC_ALL": "xx_XX", "LANG": None, "PYTHONIOENCODING": "ascii"},
        through=shell(":"),
    ),
    # paths
    run(
        "a path with spaces and quotes",
        PASSED,
        args=(*RUN, "--root", "a 'b' \"c\" $(d) ;e"),
        make=moved("a 'b' \"c\" $(d) ;e"),
        code=0,
    ),
    run("a path with a line break", PASSED, args=(*RUN, "--root", "a\nb"), make=moved("a\nb"), code=0, slow=True),
    run(
        "a path with a percent sign, in which Alembic itself fails",
        r"the project does not load: InterpolationSyntaxError",
        args=(*RUN, "--root", "100%s"),
        make=moved("100%s"),
        code=3,
        slow=True,
    ),
    run("a path that is not ASCII", PASSED, args=(*RUN, "--root", "größe ☃"), make=moved("größe ☃"), code=0, slow=True),
    run("a path that is no text", PASSED, args=(*RUN, "--root", "a\udcff"), make=moved("a\udcff"), code=0, slow=True),
    run(
        "a path of 1,000 characters",
        PASSED,
        args=(*RUN, "--root", "/".join(["n" * 200] * 5)),
        make=moved("/".join(["n" * 200] * 5)),
        code=0,
        slow=True,
    ),
    run(
        "a path for sockets of 200 characters", PASSED, args=(*RUN, "--state", "{home}/" + "s" * 200), code=0, slow=True
    ),
    # serve
    run(
        "a port in use",
        r"cannot listen on 127.0.0.1:\d+: Address already in use",
        args=("serve", "--state", "{home}/state"),
        through=shell('set -- "$@" --port "$(cat port)"'),
        make=port,
    ),
    run("a port that may not be had", r"--port", args=("serve", "--port", "99999")),
    run(
        "an address that is none",
        r"no-such-host",
        args=("serve", "--port", "0", "--host", "no-such-host.invalid", "--state", "{home}/state"),
        slow=True,
    ),
    run(
        "an address of another machine",
        r"192.0.2.1",
        args=("serve", "--port", "0", "--host", "192.0.2.1", "--state", "{home}/state"),
        slow=True,
    ),
    # limits
    run("a user without a name", PASSED, user=54321, args=(*RUN, "--state", "{home}/state"), make=owned(54321), code=0),
    run(
        "a user without a name and a home",
        r"there is no place for the ledger: HOME is not set",
        user=54321,
        env={"HOME": None, "NEONTEST_LEDGER": None},
        make=owned(54321),
        slow=True,
    ),
    run(
        "the home of a user that there is not",
        r"ledger: ~nosuchuser/x is in no home that is known here",
        args=(*RUN, "--ledger", "~nosuchuser/x"),
    ),
    run(
        "32 open files",
        r"insufficient file descriptors|[Tt]oo many open files",
        through=shell("ulimit -n 32"),
        code=3,
        slow=True,
    ),
    run("12 open files", r"[Tt]oo many open files", through=shell("ulimit -n 12"), code=3, slow=True),
    run(
        "few processes",
        r"[Rr]esource temporarily unavailable|Cannot allocate|can't start new thread|no Postgres on this machine",
        user=54322,
        through=("prlimit", "--nproc=3"),
        args=(*RUN, "--state", "{home}/state"),
        make=owned(54322),
        code=3,
        slow=True,
    ),
)
