"""The guard: a shell that is a server's parent and outlives its owner just long enough to end it.

It blocks on a pipe from the owner. A line is an order; the end of the file means that the owner is gone, however it
died: the server is stopped at once and, unless it is to be kept, its folder removed. The pipe is closed in every child
of the owner (close-on-exec, and at fork), so that no worker or test of a dead owner keeps a server alive.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from neontest.local.account import Account
from neontest.local.held import Held

# Descriptor 3 is the write end of a pipe to the owner. The server holds it for as long as it or a child of it lives: so
# the owner sees its death without asking for pids. Descriptor 4 is the claim, which thus lasts until all is cleared.
# A shell starts background commands with SIGINT and SIGQUIT ignored, until Postgres has set its own handlers: before
# its pid file is there, only SIGKILL is heard. A killed server's pid file stays, and names its shared memory; if not
# yet, the folder is left to the next sweep, which knows where to look.
SCRIPT: Final = """
exec 4>&2 2>/dev/null
umask 077
trap "" INT TERM HUP
d=$1; s=$2; fate=$3; shift 3
"$@" </dev/null 3>&1 4>&- >>"$d/log" 2>&1 & pm=$!
exec >/dev/null
read order
[ "$order" = detach ] && exit 0
[ "$order" = stop ] && how=INT || how=QUIT
seen=; f=$d/data/postmaster.pid
[ -f "$f" ] && read seen <"$f"
[ "$seen" = "$pm" ] || how=KILL
kill -$how $pm
wait $pm
[ "$order" = stop ] && exit 0
seen=
[ -f "$f" ] && read seen <"$f"
if [ "$seen" = "$pm" ]; then
    set -- $(sed -n 7p "$f")
    [ -n "$2" ] || exit 0
    ipcrm -m "$2"
fi
[ "$fate" = remove ] && rm -rf "$d" && [ "$s" != "$d" ] && rm -rf "$s"
exit 0
"""


class Guard:
    """A running guard and, under it, one server."""

    def __init__(
        self, folder: Path, sockets: Path, command: Sequence[str], *, claim: int, keep: bool, account: Account
    ) -> None:
        """Start `command` under a guard; what it says goes to `folder`/log.

        At the owner's end, `keep` leaves the folder in place; otherwise it is removed, with the folder of its socket.
        `claim` is the open lock file of the folder, which the guard holds too.
        """
        orders_read, orders_write = os.pipe()
        life_read, life_write = os.pipe()
        self._orders, self._life = Held(orders_write), Held(life_read)
        os.set_blocking(life_read, False)
        fate = "keep" if keep else "remove"
        try:
            self._process = subprocess.Popen(
                [
                    *account.become,
                    "/bin/sh",
                    "-c",
                    SCRIPT,
                    "neontest-guard",
                    str(folder),
                    str(sockets),
                    fate,
                    *account.prefix,
                    *command,
                ],
                stdin=orders_read,
                stdout=life_write,
                stderr=claim,
                start_new_session=True,
                **account.how(),
            )
        except BaseException:
            self._orders.close()
            self._life.close()
            raise
        finally:
            os.close(orders_read)
            os.close(life_write)

    def serving(self) -> bool:
        """The server's process, or a child of it, is alive."""
        try:
            return os.read(self._life.fileno(), 4096) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    def order(self, word: str) -> None:
        """Tell the guard to "stop" the server cleanly, to "detach" from it, or, "", to end it as for a dead owner."""
        if word:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._orders.fileno(), f"{word}\n".encode())
        self._orders.close()

    def wait(self, seconds: float) -> bool:
        """The guard has ended its work within so many seconds; else it is killed."""
        try:
            _await(self._process.pid, seconds)
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return False
        finally:
            self._life.close()
        return True


def _await(pid: int, seconds: float) -> None:
    """Return when our child has ended or the time is over; where the system cannot tell, at once.

    `Popen.wait` with a timeout looks ever more seldom, in the end 20 times a second.
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError):  # a kernel or a container that has no pidfd, or a child that was waited for
        ended = os.pidfd_open(pid)
        try:
            poll = select.poll()
            poll.register(ended, select.POLLIN)
            poll.poll(seconds * 1000)
        finally:
            os.close(ended)
