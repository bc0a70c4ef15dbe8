"""Reports by name, made by hand, for the tests of every renderer: `REPORTS["clean"]()`.

They stand for what runs come to, and hold what a renderer could stumble over. A new one is a function with `@named`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from neontest.cells import Cell, CellFailure
from neontest.postgres.data import ColumnChange, DataChange, Filled, Read, SequenceChange, TableChange, Violation
from neontest.postgres.diff import Difference
from neontest.postgres.indexes import UnindexedKey
from neontest.record import (
    BranchUse,
    DataSeen,
    Drift,
    Failure,
    Fault,
    History,
    Lock,
    Models,
    Refused,
    Revision,
    Size,
    Statement,
    SuiteResult,
    Visit,
    Walk,
)
from neontest.report import Finding, Level, Problem, Report

AT = datetime(2026, 11, 22, 14, 5, tzinfo=UTC)
HOSTILE = (
    "x|y`z` ```\n~~~ <script>alert(1)</script> <img src=x onerror=alert(1)> </details> <!-- hidden --> --> ]]>"
    " ::error file=a,line=1::no %0A%25 \x1b[2J \u202eright\u202c \u200f\u2067 ünï→表 \U0001f4a3 \x00\u2028"
    " [a](javascript:b) ![i](http://h/i) <http://h/auto> https://h/bare www.h.example a@h.example @everyone #1 GH-1"
    " ${{ secrets.X }} $x$ &amp; *b* _u_ ~s~ :boom: : ; , # section end gantt click %%{init: {}}%% \\ \"q\" 'q'"
    "\n- [ ] n"
)
"""Whatever is markup, a command or a trap to somebody: Markdown, HTML, GitHub, Mermaid, XML, a terminal."""

REPORTS: dict[str, Callable[[], Report]] = {}
"""Every report of the set, by its name; `many` is large, and better checked by what must hold of it."""


def named(make: Callable[[], Report]) -> Callable[[], Report]:
    REPORTS[make.__name__] = make
    return make


def small() -> list[str]:
    """The names of those that a golden file suits."""
    return [each for each in REPORTS if each != "many"]


def branch(**facts: Any) -> BranchUse:
    return BranchUse(
        **{
            "id": "br-calm-sea-1", "name": "neontest/pr-42/0a1b2c3/7-1", "created_at": AT, "ready_seconds": 1.4,
            "expires_at": AT + timedelta(hours=1), "deleted": True, "proved": True, "delete_seconds": 0.6, **facts,
        }
    )  # fmt: skip


def tests(**facts: Any) -> SuiteResult:
    return SuiteResult(
        **{
            "command": ("/x/bin/python", "-m", "pytest", "-q"), "exit_code": 0, "seconds": 20.5, "passed": 118,
            "failed": 0, "errors": 0, "skipped": 2, **facts,
        }
    )  # fmt: skip


def revision(id_: str, message: str, **facts: Any) -> Revision:
    file = f"migrations/versions/{id_}_{message.split()[0].lower()}.py"
    return Revision(
        **{"id": id_, "message": message, "file": file, "line": 8, "upgrade_line": 12, "downgrade_line": 20, **facts}
    )


FIRST = revision("ab12", "Phone of users", down=("9f00",))
SECOND = revision("cd34", "Index orders by date", down=("ab12",))
PHONE = 'ALTER TABLE "user" DROP COLUMN phone'
BACK = 'ALTER TABLE "user" ADD COLUMN phone VARCHAR(32)'


def lock(relation: str = "public.user", mode: str = "ACCESS EXCLUSIVE", held: float = 0.02, **facts: Any) -> Lock:
    return Lock(**{"relation": relation, "mode": mode, "held_seconds": held, "rows": 51_000, **facts})


def statement(sql: str, seconds: float, *locks: Lock, at: int = 13, **facts: Any) -> Statement:
    return Statement(
        **{
            "sql": sql, "seconds": seconds, "file": FIRST.file, "line": at, "revision": "ab12", "transaction": 1,
            "locks": locks, **facts,
        }
    )  # fmt: skip


def phones(held: float = 0.02, *, drops: bool = False) -> tuple[Visit, Visit, Visit]:
    """Up, down and up of the revision that adds a column, or drops it; the downgrade holds its lock so long."""
    on, off, added, removed = BACK, PHONE, "column user.phone: added", "column user.phone: removed"
    if drops:
        on, off, added, removed = off, on, removed, added
    up = Visit(
        direction="upgrade", from_="9f00", to="ab12", seconds=0.03, statements=(statement(on, 0.01, lock()),),
        schema_changes=(added,), wal_bytes=9_000,
    )  # fmt: skip
    down = Visit(
        direction="downgrade", from_="ab12", to="9f00", seconds=held + 0.1,
        statements=(statement(off, held, lock(held=held), at=21),), schema_changes=(removed,),
    )  # fmt: skip
    return up, down, up


def indexes() -> tuple[Visit, Visit, Visit]:
    """Up, down and up of the revision that builds an index."""
    create = Statement(
        sql="CREATE INDEX CONCURRENTLY ix_order_at ON public.order (created_at)", seconds=0.8, file=SECOND.file,
        line=14, revision="cd34", locks=(lock("public.order", "SHARE UPDATE EXCLUSIVE", 0.8, seen="sampled"),),
    )  # fmt: skip
    drop = Statement(
        sql="DROP INDEX ix_order_at", seconds=0.01, file=SECOND.file, line=21, revision="cd34", transaction=1,
        locks=(lock("public.order", held=0.02), lock("public.ix_order_at", held=0.02, kind="index")),
    )  # fmt: skip
    up = Visit(
        direction="upgrade", from_="ab12", to="cd34", seconds=0.9, statements=(create,),
        schema_changes=("index ix_order_at on order: added",),
        sizes=(Size(relation="public.order", before=8_192_000, after=9_175_040),),
    )  # fmt: skip
    down = Visit(
        direction="downgrade", from_="cd34", to="ab12", seconds=0.1, statements=(drop,),
        schema_changes=("index ix_order_at on order: removed",),
    )  # fmt: skip
    return up, down, up


def whole(*parts: tuple[Visit, Visit, Visit], start: str = "9f00", head: str = "cd34", **facts: Any) -> Walk:
    """The whole walk, as the sum of its parts."""
    visits = []
    for number, direction in enumerate(("upgrade", "downgrade", "upgrade")):
        mine = [part[number] for part in (parts if direction == "upgrade" else parts[::-1])]
        ends = (start, head) if direction == "upgrade" else (head, start)
        visits.append(
            Visit(
                direction=direction,
                from_=ends[0],
                to=ends[1],
                seconds=sum(each.seconds for each in mine) + 0.2,
                statements=tuple(one for each in mine for one in each.statements),
                schema_changes=tuple(one for each in mine for one in each.schema_changes),
            )
        )
    same = {"data_changed": DataChange(), "data_lost": DataChange()}
    return Walk(**{"kind": "whole", "branch": "br-calm-sea-1", "visits": tuple(visits), **same, **facts})


def stair(revision: str, visits: tuple[Visit, ...], **facts: Any) -> Walk:
    same = {"data_changed": DataChange(), "data_lost": DataChange()}
    return Walk(
        **{"kind": "stairway", "revision": revision, "branch": "br-calm-sea-1", "visits": visits, **same, **facts}
    )


def report(**facts: Any) -> Report:
    """A run of two revisions with nothing to say against them, but for what is given."""
    history = History(heads=("cd34",), start="9f00", pending=("ab12", "cd34"), revisions=(FIRST, SECOND))
    return Report(
        **{
            "verdict": "passed", "exit_code": 0, "engine": "neon", "engine_why": "NEON_API_KEY is set",
            "server_version": "18.6", "project_id": "wide-sky-123", "parent": "br-main-1", "parent_name": "main",
            "data": DataSeen(kind="copy", lsn="0/1E88D48") if facts.get("branches", True) else None,
            "branches": (branch(),), "history": history, "today": date(2026, 11, 22),
            "walks": (whole(phones(), indexes()), stair("ab12", phones()), stair("cd34", indexes())),
            "read": (Read(table="public.user", rows=51_000), Read(table="public.order", rows=220_000)),
            "tests": tests(), "seconds": {"preflight": 0.3, "branch": 1.4, "walks": 9.2, "tests": 20.5, "total": 33.1},
            **facts,
        }
    )  # fmt: skip


@named
def clean() -> Report:
    return report()


@named
def data_lost() -> Report:
    """A rollback that loses a column's values, with a lock of 1.7 s; another whose lock is short."""
    lost = DataChange(
        tables=(
            TableChange(
                table="public.user", before=51_000, after=51_000,
                columns=(ColumnChange(column="phone", before=48_112, after=0, changed=48_112),),
            ),
        ),
        sequences=(SequenceChange(sequence="public.user_id_seq", before=51_000, after=17),),
    )  # fmt: skip
    finding = Finding(
        check="data-loss", level=Level.ERROR, revision="ab12", file=FIRST.file, line=20,
        message="after the downgrade of revision ab12, 48,112 values are gone in user",
        details=(
            "48,112 of 48,112 non-null values of user.phone did not come back",
            "sequence user_id_seq is back at 17 from 51,000: it will repeat itself",
        ),
        hint="keep what the upgrade takes away, and copy it back in downgrade(); or accept it, with a reason:"
        " # neontest: accept data-loss: REASON",
    )  # fmt: skip
    walks = (
        whole(phones(1.7, drops=True), indexes(), data_lost=lost),
        stair("ab12", phones(1.7, drops=True), data_lost=lost),
        stair("cd34", indexes()),
    )
    data = DataSeen(kind="anonymized", lsn="0/1E88D48", masked=7, rules="db/masking.toml")
    return report(verdict="failed", exit_code=1, walks=walks, findings=(finding,), data=data)


@named
def invented() -> Report:
    """Rows that neontest invented: nothing was lost of them; one table has none; the parent's own rows were none."""
    return report(
        engine="local", engine_why="NEON_API_KEY is not set", project_id="", parent="", parent_name="",
        data=DataSeen(kind="copy", revisions=("9f00",), seeded="db/seed.sql", rows=1_000),
        walks=(whole(phones(1.7), indexes(), with_rows=True), stair("ab12", phones(1.7), with_rows=True)),
        filled=(
            Filled(table="public.user", rows=1_000), Filled(table="public.order", rows=1_000),
            Filled(table="public.log", why="its trigger refuses rows"),
        ),
        read=(Read(table="public.user", rows=1_000), Read(table="public.log", how="not", why="no SELECT on it")),
    )  # fmt: skip


@named
def locks() -> Report:
    """Long locks in one transaction, one seen only before the commit, one inferred, a wait and a rewrite."""
    took = (
        statement(
            'ALTER TABLE "user" ALTER COLUMN id TYPE BIGINT', 6.2, lock(held=9.1, timeout_seconds=0.0),
            lock("public.pk_user", held=9.1, kind="index"), rewrote=("public.user",), wal_bytes=48_000_000,
        ),
        statement("UPDATE account SET plan = 'free'", 2.4, lock("public.account", "ROW EXCLUSIVE", 2.6), at=15,
                  changed=("public.account",), rows=70_000, waited_seconds=0.4),
        statement("ALTER TABLE account ADD CHECK (plan <> '')", 0.3,
                  lock("public.account", held=0.5, seen="commit", rows=70_000), at=16),
        statement("VACUUM invoice", 1.2, lock("public.invoice", "SHARE UPDATE EXCLUSIVE", 1.2, seen="inferred"),
                  at=17, transaction=0),
        statement("CREATE TABLE plan (id INTEGER)", 0.01, lock("public.plan", held=0.05, existed=False, rows=None),
                  at=18, transaction=2),
    )  # fmt: skip
    up = Visit(
        direction="upgrade", from_="9f00", to="ab12", seconds=10.9, statements=took,
        schema_changes=("column user.id: type integer → bigint", "constraint ck on account: added",
                        "table plan: added"),
    )  # fmt: skip
    visits = (up, phones(0.1)[1], up)
    finding = Finding(
        check="blocking-lock", level=Level.ERROR, revision="ab12", file=FIRST.file, line=13,
        message="ALTER TABLE \"user\" ALTER COLUMN id TYPE BIGINT held ACCESS EXCLUSIVE on user (about 51,000 rows) for"
        " 9.1 s (limit 1 s) and blocked reads and writes",
        details=("migrations/versions/ab12_phone.py:13: ALTER TABLE … (6.2 s)",),
        hint="add a column of the new type, fill it in batches, and swap the two",
    )  # fmt: skip
    history = History(heads=("ab12",), start="9f00", pending=("ab12",), revisions=(FIRST,), on_base=())
    return report(
        verdict="failed", exit_code=1, history=history, findings=(finding,),
        walks=(whole(visits, head="ab12"), stair("ab12", visits)),
    )  # fmt: skip


@named
def no_way_back() -> Report:
    """One revision whose downgrade raises on purpose, one whose downgrade fails, one whose upgrade fails."""
    third = revision("ef56", "Make mail unique", down=("cd34",))
    raises = Failure(
        message="the numbers are gone", kind="NotImplementedError", revision="ab12", file=FIRST.file, line=21
    )
    fails = Failure(
        message='index "ix_order_at" does not exist', kind="UndefinedObject", revision="cd34", file=SECOND.file,
        line=21, sql="DROP INDEX ix_order_at", sqlstate="42704",
    )  # fmt: skip
    stuck = Failure(
        message='could not create unique index "uq_mail"', kind="UniqueViolation", revision="ef56", file=third.file,
        line=13, sql='ALTER TABLE "user" ADD UNIQUE (mail)', sqlstate="23505",
    )  # fmt: skip
    first, second = phones(), indexes()
    walks = (
        Walk(kind="whole", visits=(Visit(direction="upgrade", from_="9f00", to="ef56", seconds=1.1, error=stuck),)),
        stair("ab12", (first[0], Visit(direction="downgrade", from_="ab12", to="9f00", seconds=0.01, error=raises)),
              data_lost=None, note="its downgrade raises NotImplementedError"),
        stair("cd34", (second[0], Visit(direction="downgrade", from_="cd34", to="ab12", seconds=0.02, error=fails)),
              data_lost=None),
        stair("ef56", (Visit(direction="upgrade", from_="cd34", to="ef56", seconds=0.3, error=stuck),),
              data_lost=None, data_changed=None),
    )  # fmt: skip
    duplicates = Violation(
        kind="unique", table="public.user", columns=("mail",), count=12, rows=51_000, keys=("id=17", "id=18")
    )
    findings = (
        Finding(check="upgrade-fails", level=Level.ERROR, message="the upgrade of revision ef56 fails: UniqueViolation",
                revision="ef56", file=third.file, line=13, details=(stuck.message, f"in: {stuck.sql}")),
        Finding(check="downgrade-fails", level=Level.ERROR, message="the downgrade of revision cd34 fails",
                revision="cd34", file=SECOND.file, line=21, details=(fails.message, f"in: {fails.sql}")),
        Finding(check="irreversible", level=Level.WARNING, revision="ab12", file=FIRST.file, line=21,
                message="revision ab12 cannot be rolled back: its downgrade raises NotImplementedError"),
    )  # fmt: skip
    history = History(heads=("ef56",), start="9f00", pending=("ab12", "cd34", "ef56"), revisions=(FIRST, SECOND, third))
    return report(
        verdict="failed", exit_code=1, history=history, walks=walks, findings=findings, tests=None,
        tests_note="the branch is not at head",
        refused=(Refused(revision="ef56", failure=stuck, invented=False, violations=(duplicates,)),),
    )  # fmt: skip


CHECKS = (
    *("blocking-lock", "concurrent-in-transaction", "data-loss", "downgrade-does-nothing", "downgrade-fails"),
    *("edited-revision", "empty-downgrade", "fails-with-rows", "fk-without-index", "index-not-concurrent"),
    *("interrupted", "invalid-index-left", "irreversible", "many-locks-in-one-transaction", "model-drift"),
    *("no-lock-timeout", "not-deterministic", "reupgrade-fails", "revision-after-merge-base", "revision-graph"),
    *("schema-repeatable", "schema-restored", "single-head", "slow-migration", "slow-statement", "squawk"),
    *("stale-acceptance", "table-rewrite", "tests-failed", "upgrade-fails", "upgrade-loses-rows"),
    *("breaks-running-code", "needs-migration-first"),
)


@named
def findings() -> Report:
    """A finding of every check, at every level, with and without a place, details, a hint and a line that mends it;
    some accepted, some of the base branch."""
    made = []
    for number, check in enumerate(CHECKS):
        mine = (FIRST, SECOND, None)[number % 3]
        accepted = "the numbers were copied to s3 | see the ticket" if number % 7 == 3 else None
        made.append(
            Finding(
                check=check, level=list(Level)[number % 3],
                message=f"{check} found 3 of 51,000 rows in {1.5 + number} s (limit 1 s)",
                revision=mine.id if mine else None, file=mine.file if mine else None,
                line=13 + number if mine and number % 4 else None,
                details=tuple(f"index ix_{each} on user: left behind" for each in range(number % 4)),
                hint="undo in downgrade() what upgrade() did" if number % 2 else None,
                fix="with op.get_context().autocommit_block():\n    op.drop_index('ix_0', 'user')" if number % 5 == 1
                else "alembic merge -m 'merge heads' a b" if check == "single-head" else None,
                gates=accepted is None and number % 6 != 5, accepted=accepted,
            )
        )  # fmt: skip
    made.sort(key=lambda each: (not each.gates, each.level.rank, each.check))
    restored = (
        Difference(kind="index", on="public.user", name="ix_0", change="added", facts=(("unique", None, "yes"),)),
    )
    key = UnindexedKey(table="public.order", name="fk_user", columns=("user_id",), references="public.user")
    drift = Models(tables=4, drift=(Drift(what="add column user.fax", line="op.add_column('user', …)"),))
    up, down, again = phones()
    return report(
        verdict="failed", exit_code=1, findings=tuple(made), models=drift,
        walks=(
            whole(phones(), indexes(), not_restored=restored), stair("ab12", (up, down, again), not_restored=restored),
            stair("cd34", indexes()),
        ),
        tests=tests(exit_code=1, passed=116, failed=2,
                    failures=("tests/test_user.py::test_phone", "tests/b.py::test_b"),
                    output_tail="E   assert user.phone\nE   AttributeError: phone\n2 failed, 116 passed"),
        cells=(
            Cell(name="old-old", exit_code=0, passed=118, failed=0),
            Cell(name="old-new", exit_code=1, passed=117, failed=1,
                 failures=(CellFailure(test="tests.b::test_b", message="column fax does not exist", beside="passed"),)),
            Cell(name="new-new", exit_code=1, passed=116, failed=2, flaky=("tests.test_user::test_phone",)),
            Cell(name="new-old", exit_code=1, passed=0, failed=1, note="the tests change the schema themselves"),
        ),
        notes=(f"foreign keys without an index: {key.name}", "the walk of cd34 took a branch of its own"),
    )  # fmt: skip


@named
def hostile() -> Report:
    """Every text that a project, a database or a pull request has a say in is a trap."""
    h = HOSTILE
    wait = Lock(relation=h, kind="table", mode="ACCESS EXCLUSIVE", held_seconds=2.5, rows=51_000)
    did = Statement(sql=h, seconds=2.4, file=h, line=3, revision=h, transaction=1, locks=(wait,), rewrote=(h,))
    ways = (("upgrade", h, "n"), ("downgrade", "n", h), ("upgrade", h, "n"))
    visits = tuple(
        Visit(direction=way, from_=old, to=new, seconds=2.6, statements=(did,),
              schema_changes=(h, f"column {h}: added"),
              sizes=(Size(relation=h, before=1, after=2),), invalid_indexes=(h,))
        for way, old, new in ways
    )  # fmt: skip
    broken = Visit(
        direction="upgrade", from_=h, to=h, seconds=1.2, moved=False,
        error=Failure(message=h, kind=h, revision=h, file=h, line=3, sql=h, sqlstate="XX000", hint=h),
    )  # fmt: skip
    column = ColumnChange(column=h, became=h, before=9, after=0, changed=9, note=h)
    gone = DataChange(
        tables=(TableChange(table=h, before=9, after=9, columns=(column,)), TableChange(table=h, before=3)),
        sequences=(SequenceChange(sequence=h, before=9, after=1),),
    )
    different = (
        Difference(
            kind="index",
            on=h,
            name=h,
            change="changed",
            facts=((h, h, h), ("body", "a\nb", h)),
        ),
    )
    finding = Finding(
        check="schema-restored", level=Level.ERROR, message=h, revision=h, file=h, line=3, details=(h, h), hint=h,
        fix=f"op.{h}",
    )  # fmt: skip
    accepted = Finding(check="data-loss", level=Level.WARNING, message=h, accepted=h, gates=False)
    revisions = (revision("n", "x", file="a/../b c#?<.py"), Revision(id=h, message=h, file=h, labels=(h,)))
    return report(
        verdict="failed", exit_code=1, engine_why=h, project_id=h, parent=h, parent_name=h, server_version=h,
        data=DataSeen(kind="anonymized", lsn=h, time=h, rules=h, revisions=(h,), prepared=h, seeded=h),
        branches=(branch(id=h, name=h), branch(id=h, name=h, deleted=False, proved=False)),
        history=History(heads=(h,), start=h, pending=(h, "n"), revisions=revisions),
        walks=(
            whole(visits, start=h, head="n", data_lost=gone, not_restored=different),
            stair(h, visits, data_lost=gone, not_restored=different, with_rows=True), stair("n", (broken,), note=h),
        ),
        findings=(finding, accepted), notes=(h,), problems=(Problem(kind=h, message=h, hint=h),),
        filled=(Filled(table=h, rows=5, columns=(h,)), Filled(table=h, why=h)),
        read=(Read(table=h, how="not", why=h),), models=Models(tables=1, drift=(Drift(what=h, line=h),), note=h),
        refused=(Refused(revision=h, failure=Failure(message=h, kind=h), invented=True),),
        tests=tests(command=("/x/" + h, h), exit_code=1, failed=1, failures=(h,), output_tail=h), tests_note=h,
    )  # fmt: skip


def crowd(revisions: int = 300, each: int = 50) -> Report:
    """So many pending revisions, with so many findings each, long ones."""
    ids = [f"{number:04x}f00d" for number in range(revisions)]
    files = tuple(revision(id_, f"Change table {number}") for number, id_ in enumerate(ids))
    made = tuple(
        Finding(
            check=CHECKS[number % len(CHECKS)], level=list(Level)[number % 3], revision=mine.id, file=mine.file,
            line=13 + number,
            message=f"statement {number} of revision {mine.id} held a lock for 1.{number} s (limit 1 s)",
            details=(f"ALTER TABLE t{number} " + "ADD COLUMN c TEXT, " * 20,) * 3, hint="do it in batches " * 10,
            fix=f"op.execute('SELECT {number}')",
        )
        for mine in files
        for number in range(each)
    )  # fmt: skip
    walks = [whole(phones(1.7), start="9f00", head=ids[-1])]
    walks += [stair(id_, phones(1.7)) for id_ in ids]
    history = History(heads=(ids[-1],), start="9f00", pending=tuple(ids), revisions=files)
    return report(verdict="failed", exit_code=1, history=history, walks=tuple(walks), findings=made)


@named
def many() -> Report:
    return crowd(300, 1)


@named
def two_heads() -> Report:
    """Faults that were found without a database: findings, and no branch."""
    fault = Fault(kind="missing-parent", message="revision ab12 names 9f00, which is not there", revision="ab12")
    found = (
        Finding(check="revision-graph", level=Level.ERROR, message=fault.message, revision="ab12",
                file=FIRST.file, line=8),
        Finding(check="single-head", level=Level.ERROR, message="there are 2 heads: ab12, cd34",
                fix="alembic merge -m 'merge heads' ab12 cd34"),
    )  # fmt: skip
    history = History(heads=("ab12", "cd34"), revisions=(FIRST, SECOND), faults=(fault,))
    return report(
        verdict="failed", exit_code=1, history=history, walks=(), branches=(), read=(), tests=None, findings=found,
        seconds={"preflight": 0.3, "total": 0.4}, server_version="",
    )  # fmt: skip


def nothing(**facts: Any) -> Report:
    """A run that did not come to walk."""
    history = History(heads=("cd34",), start="cd34", revisions=(FIRST, SECOND))
    empty = {"walks": (), "branches": (), "read": (), "tests": None, "seconds": {"total": 0.9}, "server_version": ""}
    return report(**{"history": history, **empty, **facts})


@named
def nothing_pending() -> Report:
    return nothing()


@named
def error() -> Report:
    """Exit 3: nothing could be tested."""
    problem = Problem(
        kind="LimitReached", message="project wide-sky-123 has all 10 of its branches",
        hint="run `neontest sweep`, or raise the limit in the Neon console",
    )  # fmt: skip
    return nothing(verdict="error", exit_code=3, history=History(), problems=(problem,))


@named
def left_behind() -> Report:
    """Exit 4: tested, but a branch could not be given back."""
    problem = Problem(
        kind="BranchLeftBehind", message="branch br-calm-sea-1 was not deleted (503 for 60 s); it expires 15:05Z",
        hint="run `neontest cleanup`",
    )  # fmt: skip
    left = branch(deleted=False, proved=False, delete_seconds=None)
    return report(verdict="error", exit_code=4, branches=(left,), problems=(problem,))


@named
def stopped() -> Report:
    """A signal in the middle of the walk: what was seen until then is there."""
    problem = Problem(kind="Stopped", message="stopped by SIGTERM", hint=None)
    return report(
        verdict="stopped", exit_code=143, problems=(problem,), tests=None, tests_note="the run was stopped",
        walks=(whole(phones(), indexes()), stair("ab12", phones()[:2], data_lost=None)),
    )  # fmt: skip


@named
def skipped() -> Report:
    """One of several projects, which the pull request does not touch."""
    why = "none of its files differ from main"
    return nothing(project="libs", skipped=why, history=History(), data=None, parent="", parent_name="", seconds={})


@named
def passed_on() -> Report:
    """One of several projects, whose branch the next one goes on on."""
    mine = branch(deleted=False, proved=False, delete_seconds=None, passed_on=True)
    return report(project="shop", branches=(mine, branch(id="br-calm-sea-2", role="sibling")))
