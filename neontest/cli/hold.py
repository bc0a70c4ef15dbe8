"""`neontest hold`: a branch at head for as long as another process wants it, such as that of the pytest plugin."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from dataclasses import replace
from typing import Any

import click

from neontest.cli import options


@click.command(hidden=True)
@options.run_options
@click.pass_context
def command(ctx: click.Context, /, **_: Any) -> None:
    """Take a branch, upgrade it to head, print it as a line of JSON, give it back when standard input ends.

    The pytest plugin starts it: whatever becomes of the tests' own process, this one gives the branch back.
    """
    from neontest.cli import progress, secrecy, signals
    from neontest.lent import written
    from neontest.migrated import migrated

    secrecy.hide_memory()
    settings = options.settings(ctx)
    if settings.python is None:
        settings = replace(settings, python=sys.executable)
    with signals.stoppable() as stop, progress.Progress(quiet=True) as talk:
        owner = Owner()
        try:
            with migrated(settings, os.environ, stop=stop, talk=talk) as lent:
                owner.settled.set()  # before it is told: an owner that is quick may have gone by the next line
                click.echo(written(lent))
                owner.gone.wait()
        finally:
            owner.settled.set()


class Owner:
    """Who started this process and holds its standard input open.

    Until `settled`, its end stops this process as SIGTERM does: nobody wants the branch any more.
    """

    def __init__(self) -> None:
        self.settled = threading.Event()
        self.gone = threading.Event()
        self._pid = os.getppid()
        threading.Thread(target=self._watch, name="neontest-owner", daemon=True).start()

    def _watch(self) -> None:
        # A child that the owner forked may hold the pipe open for longer than the owner lives.
        while os.getppid() == self._pid and not select.select([0], [], [], 1.0)[0]:
            pass
        self.gone.set()
        if not self.settled.is_set():
            os.kill(os.getpid(), signal.SIGTERM)
