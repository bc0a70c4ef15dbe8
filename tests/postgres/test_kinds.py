"""Every kind and every fact of the catalogs: it changes, a snapshot sees it, and the line says it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from neontest.postgres.catalog import KINDS
from neontest.postgres.diff import diff
from neontest.postgres.indexes import newly_invalid, newly_unindexed
from neontest.postgres.model import Snapshot

pytestmark = pytest.mark.usefixtures("large")

CASES: list[dict[str, Any]] = [
    case | {"group": path.stem}
    for path in sorted((Path(__file__).parent / "kinds").glob("*.toml"))
    for case in tomllib.loads(path.read_text())["case"]
]

DIFFERS = ("since", "lines_before_17", "lines_before_18")
"""What a case has that is not the same on each Postgres."""

GRANTS = ("grant to ", "owner's privileges")

UNREACHABLE = {
    "subscription.disabled": "an enabled one would connect to its publisher",
    "base type.element": "needs a subscripting function in C for it",
    "trigger.from the parent": "never changes: such a trigger comes and goes",
}
"""Facts that no case changes, and why."""


def changed_facts(before: Snapshot, after: Snapshot) -> set[str]:
    """`kind.fact` of what differs in objects that both have; an ACL's are "acl"."""
    found = set()
    for key in before.objects.keys() & after.objects.keys():
        for name, _ in set(before.objects[key]) ^ set(after.objects[key]):
            found.add(f"{key.kind}.{'acl' if name.startswith(GRANTS) else name}")
    return found


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(
            case,
            id=f"{case['group']}: {case['name']}",
            marks=pytest.mark.every_postgres if case.keys() & set(DIFFERS) else (),
        )
        for case in CASES
    ],
)
def test_a_change_is_seen_and_said_and_its_undoing_is_nothing(case: dict[str, Any], shared: Any) -> None:
    major = shared.server.major
    sql = {part: case.get(part, "").replace("{db}", shared.name) for part in ("setup", "change", "undo")}
    sql["undo"] = sql["undo"].replace("{setup}", sql["setup"])
    if major < case.get("since", 0) or (major < 15 and "elsewhere" in sql["change"]):
        pytest.skip(f"Postgres {major} has no such thing")
    for extension in set(re.findall(r"CREATE EXTENSION (\w+)", f"{sql['setup']}; {sql['change']}")):
        if not shared.has_extension(extension):
            pytest.skip(f"this Postgres has no extension {extension}")
    lines = case["lines"]
    for older in (17, 18):
        if major < older:
            lines = case.get(f"lines_before_{older}", lines)

    shared.run(sql["setup"])
    before = shared.reader.snapshot()
    assert shared.counting.snapshot() == shared.distant.snapshot() == before
    known = shared.told(sql["change"])
    after = shared.reader.snapshot()
    counted, distant = shared.counting.snapshot(known), shared.distant.snapshot()
    anew = shared.anew()
    found = diff(before, after)
    facts = changed_facts(before, after)
    known = shared.told(sql["undo"])
    undone = shared.reader.snapshot()
    counted_again, distant_again = shared.counting.snapshot(known), shared.distant.snapshot()

    shared.clear()
    assert [difference.line() for difference in found] == lines
    assert set(case.get("facts", ())) <= facts
    assert [difference.line() for difference in diff(before, undone)] == []
    assert undone == before
    assert after == anew
    assert (counted, counted_again) == (distant, distant_again) == (after, undone)
    for one, other in ((before, after), (after, undone)):
        whole = Snapshot(objects=one.objects), Snapshot(objects=other.objects)
        assert diff(one, other) == diff(*whole)
        assert newly_invalid(one, other) == newly_invalid(*whole)
        assert newly_unindexed(one, other) == newly_unindexed(*whole)


def test_every_fact_of_every_kind_has_a_case() -> None:
    """An expression that several kinds share needs one case among them."""
    seen = {fact for case in CASES for fact in case.get("facts", ())}
    by_expression: dict[tuple[str, str], set[str]] = {}
    for kind in KINDS:
        for fact, sql in kind.facts.items():
            by_expression.setdefault((kind.catalog, sql), set()).add(f"{kind.name}.{fact}")
    missing = [names for names in by_expression.values() if not names & seen and not names & set(UNREACHABLE)]
    # "acl default" only tells what the owner has anyway.
    missing = [names for names in missing if not all(name.endswith(".acl default") for name in names)]
    assert missing == []


def test_every_kind_has_a_case_that_adds_it() -> None:
    lines = [line for case in CASES for line in case["lines"]]
    absent = [
        kind.name
        for kind in KINDS
        if kind.name not in ("database", "attribute", "domain constraint")
        and not any(line.startswith(kind.name) and line.endswith(("added", "removed")) for line in lines)
    ]
    assert absent == []
