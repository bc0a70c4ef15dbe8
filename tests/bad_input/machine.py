"""What is wrong with the machine: folders, disk, users, limits, languages, interpreters, Postgres, ports."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

from tests.bad_input.case import RUN, Case, Place, Refused

Make = Callable[[Place], None]


def shell(text: str) -> tuple[str, ...]:
    """A shell that does this and becomes neontest."""
    return ("sh", "-c", f'{text}; exec "$@"', "sh")


def ordinary(text: str = ":") -> tuple[str, ...]:
    """An ordinary user, as root cannot be locked out; who is none already, stays."""
    who = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups") if os.geteuid() == 0 else ()
    return (*who, *shell(text))


def executable(name: str, text: str) -> Make:
    def make(place: Place) -> None:
        path = place.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    return make


def opened(*names: str, closed: tuple[str, ...] = ()) -> Make:
    """These folders of the place are everybody's, and those nobody's."""

    def make(place: Place) -> None:
        for name in names:
            folder = getattr(place, name)
            folder.mkdir(exist_ok=True)
            folder.chmod(0o777)
        for name in closed:
            folder = getattr(place, name)
            folder.mkdir(exist_ok=True)
            folder.chmod(0o555)

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


def full_device(place: Place) -> None:
    if not Path("/dev/full").exists():
        raise Refused("there is no /dev/full")


def run(name: str, says: str, **more) -> Case:
    return Case(name=name, says=says, **more)


PASSED = r"passed: 1 revision, whole walk"
CASES = (
    # interpreters
    run("an interpreter that is not there", r"there is no Python at /nowhere/python", args=(*RUN, "--python", "/nowhere/python")),
    run("an interpreter's name of 5,000 characters", r"there is no Python at", args=(*RUN, "--python", "x" * 5000)),
    run("an interpreter that is a folder", r"there is no Python at migrations", args=(*RUN, "--python", "migrations")),
    run("an interpreter that is no Python", r"/bin/cat|cat", args=(*RUN, "--python", "/bin/cat"), code=3),
    run("an interpreter that is a text", r"p(ython)?.*(Exec format|no Python|not found|ended)", args=(*RUN, "--python", "p"), make=executable("p", "hello"), code=3),
    run("an interpreter whose own is gone", r"p.*", args=(*RUN, "--python", "./p"), make=executable("p", "#!/nowhere/python\n"), code=3),
    run("an interpreter that is Python 2", r"p", args=(*RUN, "--python", "./p"), make=executable("p", "#!/bin/sh\necho '  File \"worker.py\", line 40' >&2\necho 'SyntaxError: invalid syntax' >&2\nexit 1\n"), code=3),
    run("an interpreter that hangs", r"took longer than 1 s", args=(*RUN, "--python", "./p", "--timeout", "3s"), make=executable("p", "#!/bin/sh\nexec sleep 600\n"), code=3),
    run("an interpreter that prints at its start", PASSED, args=(*RUN, "-v"), env={"PYTHONPATH": "{root}/site:/work"}, code=0, files={"site/sitecustomize.py": "print('hello', flush=True)\n"}, slow=True),
    run("an interpreter whose start fails", r"ended|sitecustomize|no alembic", env={"VIRTUAL_ENV": "{root}/venv"}, make=executable("venv/bin/python", "#!/bin/sh\nexit 3\n"), code=3),
    # Postgres
    run("binaries that are nowhere", r"/nowhere", args=(*RUN, "--postgres", "/nowhere"), code=3),
    run("binaries that are no programs", r"bin", args=(*RUN, "--postgres", "bin"), make=broken_postgres(None), code=3),
    run("binaries that fail", r"bin", args=(*RUN, "--postgres", "bin"), make=broken_postgres("#!/bin/sh\nexit 1\n"), code=3),
    run("binaries that say what no Postgres says", r"bin", args=(*RUN, "--postgres", "bin"), make=broken_postgres("#!/bin/sh\necho hello\n"), code=3),
    run("a version that there is not", r"no Postgres 7 on this machine", args=(*RUN, "--postgres-version", "7"), code=3),
    run("a version below zero", r"no Postgres -1 on this machine", args=(*RUN, "--postgres-version", "-1"), code=3),
    # folders
    run("a ledger that is a file", r"the ledger .*alembic.ini cannot be written", args=(*RUN, "--ledger", "alembic.ini")),
    run("a ledger below a file", r"the ledger .*alembic.ini/x cannot be written", args=(*RUN, "--ledger", "alembic.ini/x")),
    run("a ledger's name of 300 characters", r"the ledger .* cannot be written: File name too long", args=(*RUN, "--ledger", "l" * 300)),
    run("a state that is a file", r"the state folder .*alembic.ini", args=(*RUN, "--state", "alembic.ini")),
    run("a state that is somebody else's work", r"is not empty, and neontest did not make it", args=(*RUN, "--state", "migrations")),
    run("a state's name of 300 characters", r"the state folder .* cannot be made", args=(*RUN, "--state", "s" * 300)),
    run("a TMPDIR that is not there", PASSED, env={"TMPDIR": "/nowhere"}, code=0, slow=True),
    run("a ledger that may not be written", r"the ledger .* cannot be written: Permission denied", through=ordinary(), make=opened("root", closed=("ledger",))),
    run("a HOME that may not be written", r"the ledger .* cannot be written: Permission denied", through=ordinary(), make=opened("root", closed=("home",)), env={"NEONTEST_LEDGER": None}),
    run("a state that may not be written", r"the state folder .* cannot be made: Permission denied", args=(*RUN, "--state", "{home}/state"), through=ordinary(), make=opened("root", "ledger", closed=("home",))),
    run("a project that may not be written", r"", args=(*RUN, "--state", "{home}/state"), through=ordinary(), make=opened("ledger", "home", closed=("root",)), code=0, slow=True),
    run("a project that may not be read", r"cannot be read|cannot be looked for|no Alembic", through=ordinary(), make=lambda place: place.root.chmod(0o111)),
    run("an alembic.ini that may not be read", r"alembic.ini cannot be read: Permission denied", through=ordinary(), make=lambda place: (place.root / "alembic.ini").chmod(0)),
    run("a pyproject.toml that may not be read", r"pyproject.toml cannot be read: Permission denied", through=ordinary(), files={"pyproject.toml": ""}, make=lambda place: (place.root / "pyproject.toml").chmod(0)),
    run("a revision that may not be read", r"r1.py cannot be read: Permission denied", through=ordinary(), make=lambda place: (place.root / "migrations/versions/r1.py").chmod(0), code=1, slow=True),
    run("versions that may not be read", r"versions.*cannot be read: Permission denied", through=ordinary(), make=lambda place: (place.root / "migrations/versions").chmod(0), code=1),
    run("no HOME", r"engine ", args=("config",), env={"HOME": None}, code=0),
    run("no HOME and no ledger", PASSED, env={"HOME": None, "XDG_STATE_HOME": "{tmp}/x"}, code=0, slow=True),
    run("a HOME that is no path", r"the ledger", env={"HOME": "/dev/null", "NEONTEST_LEDGER": None}),
    run("a folder that was deleted", r"the current folder|folder .* (is gone|was deleted)", through=shell('mkdir "$TMPDIR/x"; cd "$TMPDIR/x"; rmdir "$TMPDIR/x"')),
    # disk
    run("a full disk under the ledger", r"the ledger .* cannot be written: No space left on device", through=("unshare", "-m", *shell("mount -t tmpfs -o size=4k,nr_inodes=2 full {ledger}; : > {ledger}/x")), make=lambda place: (in_namespace(place), place.ledger.mkdir())),
    run("a full disk under TMPDIR", r"No space left|temporary", through=("unshare", "-m", *shell("mount -t tmpfs -o size=4k,nr_inodes=2 full {tmp}; : > {tmp}/x")), make=in_namespace, code=3),
    run("a full disk under the state", r"No space left", args=(*RUN, "--state", "{home}/state"), through=("unshare", "-m", *shell("mount -t tmpfs -o size=2m full {home}; chmod 755 {home}")), make=in_namespace, code=3),
    run("a file that may not be long", r"File too large|", through=shell("ulimit -f 8"), code=3, slow=True),
    # outputs
    run("a standard output that is full", r"standard output cannot be written: No space left on device", args=("explain",), through=shell("exec >/dev/full"), make=full_device, code=3),
    run("a standard output that is closed", r"^", args=("explain",), through=shell("exec >&-"), code=3, silent=True),
    run("a standard input that is closed", PASSED, through=shell("exec <&-"), code=0, slow=True),
    run("all three closed, and a run", r"^", through=shell("exec <&- >&- 2>&-"), code=3, silent=True),
    run("a standard error that is closed", r"^", args=("explain", "NONSENSE"), through=shell("exec 2>&-"), silent=True),
    run("a standard error that is full", r"^", args=("explain", "NONSENSE"), through=shell("exec 2>/dev/full"), make=full_device, silent=True),
    # languages
    run("no locale and ASCII", r"no revision here begins with", args=(*RUN, "--from-revision", "ünïcödé"), env={"LC_ALL": "xx_XX", "LANG": None, "PYTHONIOENCODING": "ascii"}, through=shell(":")),
    run("an encoding that there is not", r"", args=("config",), env={"PYTHONIOENCODING": "klingon"}, through=shell(":"), code=1, slow=True),
    # paths
    run("a path with spaces and quotes", PASSED, args=(*RUN, "--root", "a 'b' \"c\" $(d) ;e"), make=moved("a 'b' \"c\" $(d) ;e"), code=0),
    run("a path with a line break", PASSED, args=(*RUN, "--root", "a\nb"), make=moved("a\nb"), code=0, slow=True),
    run("a path with a percent sign", PASSED, args=(*RUN, "--root", "100%s"), make=moved("100%s"), code=0, slow=True),
    run("a path that is not ASCII", PASSED, args=(*RUN, "--root", "größe ☃"), make=moved("größe ☃"), code=0, slow=True),
    run("a path that is no text", PASSED, args=(*RUN, "--root", "a\udcff"), make=moved("a\udcff"), code=0),
    run("a path of 1,000 characters", PASSED, args=(*RUN, "--root", "/".join(["n" * 200] * 5)), make=moved("/".join(["n" * 200] * 5)), code=0),
    run("a path for sockets of 200 characters", PASSED, args=(*RUN, "--state", "{home}/" + "s" * 200), code=0, slow=True),
    # serve
    run("a port in use", r"port \d+ is (in use|taken)|cannot listen on 127.0.0.1:\d+|address already in use", args=("serve", "--state", "{home}/state"), through=shell('set -- "$@" --port "$(cat port)"'), make=port, code=3),
    run("a port that may not be had", r"--port", args=("serve", "--port", "99999")),
    run("an address that is none", r"no-such-host", args=("serve", "--port", "0", "--host", "no-such-host.invalid", "--state", "{home}/state"), code=3),
    run("an address of another machine", r"192.0.2.1", args=("serve", "--port", "0", "--host", "192.0.2.1", "--state", "{home}/state"), code=3),
    # limits
    run("a user without a name", PASSED, through=("setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"), args=(*RUN, "--state", "{home}/state"), make=lambda place: (root_only(place), opened("root", "home", "ledger")(place)), code=0),
    run("32 open files", r"[Tt]oo many open files", through=shell("ulimit -n 32"), code=3),
    run("12 open files", r"[Tt]oo many open files", through=shell("ulimit -n 12"), code=3, slow=True),
    run("few processes", r"[Rr]esource temporarily unavailable|can't start new thread|process", through=("setpriv", "--reuid=54322", "--regid=54322", "--clear-groups", *shell("ulimit -u 3")), args=(*RUN, "--state", "{home}/state"), make=lambda place: (root_only(place), opened("root", "home", "ledger")(place)), code=3),
    run("little memory", r"[Mm]emory|", through=shell("ulimit -v 200000"), code=3, slow=True),
)
