"""Revision files that are wrong: judged without a database, so that each is a finding, and no branch is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.bad_input.case import GOOD, Case, Place, revision


def second(text: str | bytes, name: str = "r2.py") -> Mapping[str, str | bytes]:
    return {f"migrations/versions/{name}": text}


def unreadable(place: Place) -> None:
    (place.root / "migrations/versions/r2.py").symlink_to("r2.py")


def pipe(place: Place) -> None:
    __import__("os").mkfifo(place.root / "migrations/versions/r2.py")


def case(name: str, text: str | bytes, says: str, **more: Any) -> Case:
    return Case(name=name, code=1, files=second(text), says=says, **more)


HEADS = 'revision = "r2"\ndown_revision = "r1"\n'

CASES = (
    case("a syntax error", "def upgrade(:\n", r"r2.py is not Python"),
    case("the marks of a merge conflict", "<<<<<<< HEAD\n" + GOOD, r"r2.py is not Python", slow=True),
    case("tabs and spaces", HEADS + "def upgrade():\n\tpass\n        pass\n", r"r2.py is not Python", slow=True),
    case("a null byte", GOOD.encode() + b"\0", r"r2.py is not Python|null bytes"),
    case("a text that is not UTF-8", b"x = 'caf\xe9'\n" + GOOD.encode(), r"r2.py is not Python"),
    case("a coding that there is not", b"# coding: klingon\n" + GOOD.encode(), r"r2.py is not Python"),
    case("a file in UTF-16", GOOD.encode("utf-16"), r"r2.py is not Python|null bytes", slow=True),
    case("an empty file", "", r"it assigns no `revision`"),
    case("no revision", 'down_revision = "r1"\n', r"it assigns no `revision`", slow=True),
    case("no down_revision", 'revision = "r2"\n', r"it assigns no `down_revision`"),
    case("an id that is a number", 'revision = 2\ndown_revision = "r1"\n', r"revision is 2, not a text"),
    case("an empty id", 'revision = ""\ndown_revision = "r1"\n', r"revision is '', not a text", slow=True),
    case("an id that Alembic refuses", 'revision = "r@2"\ndown_revision = "r1"\n', r"Alembic refuses @"),
    case(
        "an id of several lines and an escape",
        'revision = "r\\n\\u001b[31m2"\ndown_revision = "zz"\n',
        r"cannot be a revision id",
    ),
    case(
        "an id of 100,000 characters",
        f'revision = "{"r" * 100_000}"\ndown_revision = "zz"\n',
        r"cannot be a revision id",
    ),
    case("an id with a null byte", 'revision = "r\\0"\ndown_revision = "zz"\n', r"cannot be a revision id"),
    case("an id that is half a character", 'revision = "r\\udc80"\ndown_revision = "zz"\n', r"cannot be a revision id"),
    case(
        "a down_revision that is a number", 'revision = "r2"\ndown_revision = 1\n', r"down_revision holds 1, not a text"
    ),
    case(
        "a down_revision that no file has",
        revision("r2", "r0"),
        r"down_revision of r2 is 'r0', which no file has",
        slow=True,
    ),
    case(
        "a down_revision that is only known by running",
        'import os\nrevision = "r2"\ndown_revision = os.environ["X"]\n',
        r"cannot be known without running",
    ),
    case("a depends_on that no file has", HEADS + 'depends_on = "r9"\n', r"depends_on of r2 is 'r9'", slow=True),
    case("an id in two files", GOOD, r"revision r1 is in two files", slow=True),
    case("a revision that is its own parent", revision("r2", "r2"), r"revision r2 is its own parent", slow=True),
    case(
        "an expression 20,000 deep",
        "revision = 'r2'\ndown_revision = 'r1'\nx = " + "-" * 20_000 + "1\n",
        r"r2.py is not Python.*nested too deeply",
    ),
    case(
        "a sum of 50,000 texts",
        "revision = 'r2'\ndown_revision = " + "+".join(["'r'"] * 50_000) + "\n",
        r"r2.py is not Python",
    ),
    case("brackets 5,000 deep", HEADS + "x = " + "(" * 5000 + ")" * 5000, r"r2.py is not Python"),
    case(
        "an id of itself for ever",
        "a = b\nb = a\nrevision = a\ndown_revision = None\n",
        r"cannot be known without running",
    ),
    Case(
        name="a circle of three",
        code=1,
        files={
            "migrations/versions/r2.py": revision("r2", "r4"),
            "migrations/versions/r3.py": revision("r3", "r2"),
            "migrations/versions/r4.py": revision("r4", "r3"),
        },
        says=r"circle|cycle",
        slow=True,
    ),
    Case(
        name="two heads",
        code=1,
        files={
            "migrations/versions/r2.py": revision("r2", "r1"),
            "migrations/versions/r3.py": revision("r3", "r1"),
        },
        says=r"2 heads",
        slow=True,
    ),
    Case(name="a revision that is a circle of links", code=1, make=unreadable, says=r"r2.py cannot be read"),
    Case(name="a revision that is a pipe", code=1, make=pipe, says=r"r2.py cannot be read"),
    Case(
        name="a revision's name with a line break", code=1, files=second("x = (", "r\n2.py"), says=r"2.py is not Python"
    ),
    Case(
        name="a revision's name that is no text", code=1, files=second("x = (", "r\udcff.py"), says=r".py is not Python"
    ),
)
