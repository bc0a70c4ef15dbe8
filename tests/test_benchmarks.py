"""The benchmarks' own arithmetic, and that their table changes nothing of the README but itself. No time is judged."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from tests.benchmarks.__main__ import joined
from tests.benchmarks.measure import Cost, Meter, Row, compared, exponent, growth, in_turns
from tests.benchmarks.projects import models
from tests.benchmarks.readme import BEGIN, END, written

MACHINE = {"date": "2026-01-02", "machine": "2 cores", "alembic": "1.2.3"}


@pytest.mark.parametrize("power", [0.0, 1.0, 1.5])
def test_the_exponent_of_a_power_is_that_power(power: float) -> None:
    assert exponent({size: 0.003 * size**power for size in (10, 100, 1000)}) == pytest.approx(power)


def test_one_size_tells_no_growth() -> None:
    assert not list(growth("b", "ours", {10: 1.0}))
    (row,) = growth("b", "ours", {10: 1.0, 1000: 100.0}, of="rows", bound=0.9)
    assert (row.size, row.met) == ("10-1,000 rows", False)


def test_a_ratio_is_the_median_of_pairs_and_not_the_ratio_of_medians() -> None:
    ours = [Cost(wall=wall, cpu=wall) for wall in (1.0, 4.0, 30.0)]
    theirs = [Cost(wall=wall, cpu=2 * wall) for wall in (2.0, 2.0, 10.0)]
    (row,) = compared("b", "s", {"ours": ours, "theirs": theirs}, ours="ours", bounds={"theirs": 2.0})
    assert (row.seconds, row.their_seconds) == (4.0, 2.0)
    assert (row.wall, row.cpu) == (2.0, 1.0)  # of 0.5, 2 and 3; and half of it
    assert row.met is True


def test_calls_take_turns_and_warm_ones_do_not_count() -> None:
    called: list[str] = []

    def variant(name: str) -> object:
        return lambda: lambda: called.append(name) or Cost(wall=float(len(called)), cpu=0.0)

    found = in_turns({"a": variant("a"), "b": variant("b")}, Meter(), rounds=2, warm=1)  # type: ignore[dict-item]
    assert "".join(called) == "baabba"
    assert {name: [cost.wall for cost in costs] for name, costs in found.items()} == {"a": [3, 6], "b": [4, 5]}


def row(ours: str, size: str, seconds: float, theirs: str = "", bound: float | None = None, unit: str = "s") -> Row:
    return Row(bench="b", size=size, ours=ours, seconds=seconds, theirs=theirs, their_seconds=2.0 if theirs else None,
               wall=seconds / 2.0 if theirs else None, bound=bound, unit=unit)  # fmt: skip


ROWS = (
    row("walk", "20 revisions", 0.5, "SQL"),
    row("walk", "20 revisions", 0.5, "a | b"),
    row("walk", "30 revisions", 2.9, "SQL", bound=1.4),
    row("walk", "40 revisions", 2.7, "SQL", bound=1.4),
    row("walk", "100 revisions", 3.0, "SQL", bound=1.4),
    row("walk", "20-100 revisions", 1.1, bound=1.15, unit="exponent"),
    row("walk", "100 revisions", 3.1, "others"),
    row("memory", "100 revisions", 60.0, bound=120.0, unit="MB"),
    row("nothing to say of it", "100 revisions", 9.0),
)


def test_the_table_takes_the_place_of_the_one_before_and_of_nothing_else() -> None:
    text = f"# It\n\nbefore é\n\n{BEGIN}\nold\n{END}\n\nafter\n"
    once = written(text, MACHINE, ROWS)
    assert once.startswith(f"# It\n\nbefore é\n\n{BEGIN}\n| what ")
    assert once.endswith(f"\n\n(2026-01-02, on 2 cores, alembic 1.2.3.)\n{END}\n\nafter\n")
    assert written(once, MACHINE, ROWS) == once
    assert written(once, MACHINE, ()).count("|\n") == 2


def test_the_table_has_the_largest_of_each_comparison_with_its_bound_and_growth_and_all_that_missed() -> None:
    lines = written(BEGIN + END, MACHINE, ROWS).splitlines()
    assert lines[3:-3] == [
        "| walk | 20 revisions | 500 ms | a \\| b: 2.00 s | 0.25 |  |  |",
        "| walk | 30 revisions | 2.90 s | SQL: 2.00 s | 1.45 | **≤ 1.4** |  |",
        "| walk | 100 revisions | 3.00 s | SQL: 2.00 s | 1.50 | **≤ 1.4** | n^1.10 ≤ n^1.15 |",
        "| walk | 100 revisions | 3.10 s | others: 2.00 s | 1.55 |  |  |",
        "| memory | 100 revisions | 60 MB |  |  | ≤ 120 MB |  |",
    ]


@pytest.mark.parametrize("text", ["", BEGIN, END, END + BEGIN])
def test_without_its_marks_the_readme_is_not_written(text: str) -> None:
    with pytest.raises(ValueError, match="speed"):
        written(text, MACHINE, ROWS)


def test_the_readme_has_the_marks() -> None:
    assert written(Path(__file__).parents[1].joinpath("README.md").read_text(encoding="utf-8"), MACHINE, ROWS)


@pytest.mark.parametrize(("revisions", "column"), [(2, "extra"), (6, "more")])
def test_models_are_what_so_many_revisions_make(revisions: int, column: str) -> None:
    names: dict[str, object] = {}
    exec(models(revisions), names)
    tables = names["metadata"].tables  # type: ignore[attr-defined]
    assert column in tables["t0"].columns
    assert len(tables["t0"].indexes) == (revisions > 2)


def test_an_earlier_run_tells_what_was_not_run_again() -> None:
    def row(bench: str, seconds: float) -> Row:
        return Row(bench=bench, size="1", ours="ours", seconds=seconds)

    earlier = {"machine": MACHINE, "rows": [asdict(row("run", 1.0)), asdict(row("api", 2.0))]}
    assert joined([row("run", 3.0)], ["run"], MACHINE, earlier) == [row("api", 2.0), row("run", 3.0)]
    with pytest.raises(ValueError, match="another machine or day"):
        joined([], ["run"], {**MACHINE, "date": "2026-01-03"}, earlier)
