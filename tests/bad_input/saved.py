"""Saved reports that are none, and places where a report cannot go."""

from __future__ import annotations

import os
from collections.abc import Callable

from tests.bad_input.case import RUN, Case, Place

REPORT = ("report", "saved.json")
Make = Callable[[Place], None]


def pipe(place: Place) -> None:
    os.mkfifo(place.root / "saved.json")


def nested(megabytes: int) -> Make:
    def make(place: Place) -> None:
        with (place.root / "saved.json").open("wb") as file:
            for _ in range(megabytes):
                file.write(b"[" * (1 << 20))

    return make


def saved(text: str | bytes) -> dict[str, str | bytes]:
    return {"saved.json": text}


MINIMAL = '{"version": 1, "engine": "local", "engine_why": "", "verdict": "passed", "exit_code": 0'

CASES = (
    Case(name="a saved report that is not there", args=REPORT, says=r"'saved.json' does not exist"),
    Case(name="an empty report", args=REPORT, files=saved(""), says=r"saved.json.*not a neontest report"),
    Case(name="a truncated report", args=REPORT, files=saved(MINIMAL), says=r"saved.json.*not a neontest report"),
    Case(
        name="a report of another version",
        args=REPORT,
        files=saved('{"version": 2, "verdict": "passed"}'),
        says=r"version",
    ),
    Case(name="a report that is a list", args=REPORT, files=saved("[]"), says=r"not a neontest report"),
    Case(
        name="a report that is not UTF-8",
        args=REPORT,
        files=saved(b'{"engine": "\xff\xfe"}'),
        says=r"not a neontest report",
    ),
    Case(
        name="a report in UTF-16",
        args=REPORT,
        files=saved("{}".encode("utf-16")),
        says=r"not a neontest report",
        slow=True,
    ),
    Case(
        name="a report with a byte order mark",
        args=REPORT,
        files=saved(b"\xef\xbb\xbf{}"),
        says=r"not a neontest report",
        slow=True,
    ),
    Case(name="a report nested 100,000 deep", args=REPORT, files=saved("[" * 100_000), says=r"not a neontest report"),
    Case(
        name="a report nested in a key that is not known",
        args=REPORT,
        files=saved(MINIMAL + ', "x": ' + "[" * 100_000),
        says=r"not a neontest report",
    ),
    Case(name="a report of 100 MB of nesting", args=REPORT, make=nested(100), says=r"not a neontest report", slow=True),
    Case(
        name="a report with a number beyond all measure",
        args=REPORT,
        files=saved(MINIMAL.replace("0", "1e999") + "}"),
        says=r"not a neontest report",
    ),
    Case(name="a report that is a pipe", args=REPORT, make=pipe, says=r"saved.json"),
    Case(
        name="a report that is a folder",
        args=REPORT,
        make=lambda place: (place.root / "saved.json").mkdir(),
        says=r"'saved.json' is a directory",
    ),
    Case(name="a report that is /dev/zero", args=("report", "/dev/zero"), says=r"/dev/zero"),
    Case(
        name="a format that there is not",
        args=("report", "alembic.ini", "--format", "pdf"),
        says=r"'pdf' is not one of",
        slow=True,
    ),
    Case(
        name="publish of an empty report",
        args=("publish", "saved.json"),
        files=saved(""),
        says=r"saved.json|not a neontest report|GitHub",
    ),
    Case(
        name="a report into a folder that is not there",
        args=(*RUN, "--json", "no/such/folder.json"),
        says=r"--json: no/such/folder.json cannot be written",
    ),
    Case(
        name="a report onto a folder",
        args=(*RUN, "--json", "migrations"),
        says=r"--json: migrations cannot be written",
        slow=True,
    ),
    Case(
        name="two reports into one file",
        args=(*RUN, "--json", "a", "--html", "a"),
        says=r"--html and --json cannot both go to a",
        slow=True,
    ),
    Case(
        name="a report below a file",
        args=(*RUN, "--json", "alembic.ini/x"),
        says=r"--json: alembic.ini/x cannot be written",
    ),
    Case(
        name="a report's name of 300 characters", args=(*RUN, "--json", "a" * 300), says=r"--json: .* cannot be written"
    ),
    Case(
        name="a report into a pipe that nobody reads",
        args=(*RUN, "--json", "saved.json"),
        make=pipe,
        says=r"saved.json",
    ),
    Case(
        name="a saved report told into a folder that is not there",
        args=("report", "alembic.ini", "--output", "no/such/x"),
        says=r"--output: no/such/x cannot be written",
    ),
)
