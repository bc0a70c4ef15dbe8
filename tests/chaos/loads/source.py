"""A revision file of several megabytes, of each shape that one has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from neontest.migrate import scripts
from neontest.postgres.demands import demands
from neontest.record import Revision
from neontest.statements import bare, brief, builds, mentions, moves_rows, opaque
from tests.chaos.loads.measuring import Row, measured

MEGA: Final = 1_000_000
KINDS: Final[dict[str, Callable[[int], str]]] = {
    "one statement": lambda size: 'op.execute("""' + "INSERT INTO t VALUES (1, 'x');\n" * (size // 31) + '""")',
    "many calls": lambda size: "\n    ".join(['op.execute("INSERT INTO t VALUES (1)")'] * (size // 43)),
    "one literal": lambda size: f'op.execute("{"x" * size}")',
    "rows of a table": lambda size: "op.bulk_insert(t, [" + '{"a": 1, "b": "x"},\n' * (size // 20) + "])",
    "comments": lambda size: "# neontest: accept x: y\n    " * (size // 28) + "pass",
}
HEAD: Final = '"""it"""\nfrom alembic import op\nrevision = "a"\ndown_revision = None\n\n\ndef upgrade():\n    '
SQL: Final[dict[str, Callable[[int], str]]] = {
    "of spaces": lambda size: "SELECT" + " " * size + "1",
    "of values": lambda size: "INSERT INTO t VALUES " + "(1, 'it''s', now()), " * (size // 21) + "(1, 'x', now())",
    "of brackets": lambda size: "SELECT " + "(" * (size // 2) + "1" + ")" * (size // 2),
    "of quotes": lambda size: "SELECT '" + "''" * (size // 2),
    "of comments": lambda size: "/*" * (size // 2) + " ALTER TABLE a ADD CHECK (b > 0)",
    "of dollars": lambda size: "SELECT " + "$a$ " * (size // 4),
    "of columns": lambda size: "ALTER TABLE a " + "ADD COLUMN b int NOT NULL, " * (size // 27) + "ADD c int",
    "of dashes": lambda size: "--" * (size // 2) + "\nSELECT 1",
}


def source(tenths: int, kind: str) -> bytes:
    return f"{HEAD}{KINDS[kind](tenths * MEGA // 10)}\n\n\ndef downgrade():\n    pass\n".encode()


def reading(tenths: int, kind: str) -> Callable[[], object]:
    text = source(tenths, kind)

    def run() -> None:
        found = scripts.parse(text, "versions/a.py")
        assert isinstance(found, Revision), found

    return run


def comparing(tenths: int, kind: str) -> Callable[[], object]:
    text = source(tenths, kind)
    other = text.replace(b'"""it"""', b'"""it, as it was"""')

    def run() -> None:
        assert scripts.same(text, other)

    return run


def looking(tenths: int, kind: str) -> Callable[[], object]:
    """All that asks of a statement's text what it does."""
    sql = SQL[kind](tenths * MEGA // 10)

    def run() -> None:
        bare(sql), brief(sql), list(builds(sql)), moves_rows(sql), opaque(sql), mentions(sql, "public.t")
        list(demands(sql))

    return run


def rows(*, large: bool) -> Iterator[Row]:
    sizes = (12, 50) if large else (1, 4)
    for what, work, kinds in (
        ("file read", reading, KINDS),
        ("file compared", comparing, KINDS),
        ("statement", looking, SQL),
    ):
        for kind in kinds:
            yield from measured(f"{what}: {kind}", work, sizes, kind, unit="00 KB")
