"""Command lines of neontest as real processes, forked from one that has imported it: an import is half of a short run.

`python forking.py DESCRIPTOR` is the server. A request on its socket is a length, a JSON object with `args`, `cwd` and
`env`, and with the length the descriptors of standard input, output, error and of a pipe for the answer: the command's
process id and, later, its wait status. What a start of Python itself decides is the server's: its options, encodings.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

LENGTH = struct.Struct("!I")


def run(args: Sequence[str], *, cwd: Path, env: Mapping[str, str], seconds: float) -> subprocess.CompletedProcess[str]:
    """`python -m neontest ARGS` with no input; what it printed. It is killed when it does not end in time."""
    answer, theirs = os.pipe()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, os.fdopen(answer, "rb", 0) as answers:
        with Path(os.devnull).open("rb") as nothing, os.fdopen(theirs, "wb"):
            _server().ask(
                {"args": list(args), "cwd": str(cwd), "env": dict(env)},
                [nothing.fileno(), out.fileno(), err.fileno(), theirs],
            )
        pid = int(answers.readline())
        in_time, _, _ = select.select([answers], [], [], seconds)
        if not in_time:
            os.kill(pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(int(answers.readline()))
        printed = []
        for file in (out, err):
            file.seek(0)
            printed.append(file.read().decode("utf-8", "replace"))
    if not in_time:
        raise subprocess.TimeoutExpired(list(args), seconds, *printed)
    return subprocess.CompletedProcess(list(args), code, *printed)


class Server:
    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        self._lock = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
                stdin=subprocess.DEVNULL,
            )

    def ask(self, request: Mapping[str, object], descriptors: Sequence[int]) -> None:
        body = json.dumps(request).encode()
        with self._lock:
            socket.send_fds(self._socket, [LENGTH.pack(len(body))], descriptors)
            self._socket.sendall(body)

    def end(self) -> None:
        self._socket.close()
        self._process.wait()


_servers: list[Server] = []
_starting = threading.Lock()


def _server() -> Server:
    """The one of this process, begun when it is first wanted."""
    with _starting:
        if not _servers:
            _servers.append(Server())
        return _servers[0]


def end() -> None:
    """End the server if there is one."""
    while _servers:
        _servers.pop().end()


def serve(requests: socket.socket) -> list[str]:
    """Fork for each request; returns only in the command's own process, with its arguments."""
    from neontest import checks, cli, renderers, sessions
    from tests.warm import Servers

    servers = Servers()
    checks.every()
    for package in (cli, renderers):
        for each in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{package.__name__}.{each.name}")
    for name in ("certifi", "httpcore", "neontest.acting", "neontest.local.engine", "neontest.mend", "neontest.run"):
        importlib.import_module(name)
    importlib.import_module("neontest.local.routes").url_map()
    gc.freeze()
    while True:
        length, descriptors, _, _ = socket.recv_fds(requests, LENGTH.size, 4)
        if not length:
            os._exit(0)
        body = b""
        (size,) = LENGTH.unpack(length)
        while len(body) < size:
            body += requests.recv(size - len(body))
        if os.fork():  # the server, which has more to do
            for number in descriptors:
                os.close(number)
            continue
        requests.close()
        servers.let_go()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        command = os.fork()
        if command:  # between the two: it waits for the command, which the server must not
            os.write(descriptors[3], b"%d\n" % command)
            os.write(descriptors[3], b"%d\n" % os.waitpid(command, 0)[1])
            os._exit(0)
        request = json.loads(body)
        for standard, number in enumerate(descriptors):
            if standard < 3:
                os.dup2(number, standard)
            os.close(number)
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"])
        sys.path[0] = request["cwd"]
        setattr(sessions, "ForkServer", servers.server)  # noqa: B010  # a function, where a class is expected
        return [str(arg) for arg in request["args"]]


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as mine:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        given = serve(mine)
    from neontest.cli.main import main

    main(given)
