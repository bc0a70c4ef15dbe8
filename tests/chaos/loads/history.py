"""A history of thousands of revisions: read, put in order, judged and told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

from neontest import checks
from neontest.migrate import history as histories
from neontest.migrate import project as found_projects
from neontest.postgres.difference import Difference
from neontest.record import Acceptance, Failure, History, Lint, Lock, Record, Revision, Statement, Visit, Walk
from neontest.redact import Redactor
from neontest.renderers import formats, rendered
from neontest.report import Report, report
from tests.chaos.loads.measuring import Row, measured
from tests.chaos.loads.projects import project


def reading(size: int) -> Callable[[], object]:
    """Read all files, and put what is pending in order."""
    opened = project(
        (f'op.add_column("t", sa.Column("c{each}", sa.Integer()))', f'op.drop_column("t", "c{each}")')
        for each in range(size)
    )
    root = opened.__enter__()

    def run() -> int:
        try:
            return len(ordered(root))
        finally:
            opened.__exit__(None, None, None)

    return run


def ordered(root: Path) -> tuple[str, ...]:
    history = histories.read(found_projects.find(root, environ={}))
    pending = histories.pending(history, ())
    assert len(pending) == len(history.revisions)
    return pending


def judging(size: int) -> Callable[[], object]:
    made = record(size)
    return lambda: len(checks.judge(made))


def telling(size: int, form: str) -> Callable[[], object]:
    made = judged(size)
    return lambda: len(rendered(made, form, width=100))


def redacting(size: int) -> Callable[[], object]:
    made, redactor = judged(size), Redactor()
    redactor.add_url("postgresql://app:bcdefghijk@example.test/db")
    return lambda: len(redactor.struct(made).walks)


def judged(size: int) -> Report:
    made = record(size)
    return report(made, checks.judge(made), (), verdict="failed", exit_code=1)


def record(size: int) -> Record:
    """A run on so many revisions, a tenth of which have no way back."""
    ids = [f"{number:012x}" for number in range(size)]
    revisions = tuple(
        Revision(
            id=id_, down=(ids[number - 1],) if number else (), message=f"revision {number}", file=file(id_),
            upgrade_line=8, downgrade_line=12,
            accepts=(Acceptance(check="irreversible", reason="old", revision=id_),) if number % 50 == 0 else (),
        )
        for number, id_ in enumerate(ids)
    )  # fmt: skip
    return Record(
        engine="local",
        history=History(heads=(ids[-1],), pending=tuple(ids), revisions=revisions),
        walks=tuple(walk(number, id_, ids[number - 1] if number else None) for number, id_ in enumerate(ids)),
        today=date(2026, 11, 28),
        lint=tuple(Lint(rule="rule", message="it", revision=id_, file=file(id_), line=9) for id_ in ids[::5]),
        acceptances=tuple(Acceptance(check="data-loss", reason="old", revision=id_) for id_ in ids[:20]),
    )


def file(id_: str) -> str:
    return f"migrations/versions/{id_}_it.py"


def walk(number: int, id_: str, below: str | None) -> Walk:
    lock = Lock(relation="public.t", mode="ACCESS EXCLUSIVE", rows=100_000, held_seconds=2.0)
    statements = tuple(
        Statement(sql=sql, seconds=0.1, file=file(id_), line=9, revision=id_, transaction=1, locks=(lock,))
        for sql in (f"ALTER TABLE t ADD COLUMN c{number} int", f"CREATE INDEX i{number} ON t (c{number})")
    )
    up = Visit(direction="upgrade", from_=below, to=id_, statements=statements, schema_changes=(f"column c{number}",))
    error = Failure(message="no way back", kind="NotImplementedError", revision=id_) if number % 10 == 0 else None
    down = Visit(direction="downgrade", from_=id_, to=below, error=error)
    left = Difference(kind="column", on="public.t", name=f"c{number}", change="added", facts=(("type", None, "int"),))
    return Walk(
        kind="stairway", revision=id_, branch="br-x", visits=(up, down) if error else (up, down, up),
        not_restored=(left,) if number % 10 == 5 else (),
    )  # fmt: skip


def rows(*, large: bool) -> Iterator[Row]:
    sizes = (2_500, 10_000) if large else (300,)
    yield from measured("history: read, put in order", reading, sizes)
    yield from measured("history: judged", judging, sizes)
    yield from measured("history: redacted", redacting, sizes, most=1_000_000_000)
    for form in formats():
        yield from measured(f"history: told as {form}", telling, sizes, form, most=1_000_000_000)
