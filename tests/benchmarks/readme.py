"""The rows as text: a line each on the console, and a table in the README, between two marks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.benchmarks.measure import Row

BEGIN: Final = "<!-- speed: written by python -m tests.benchmarks --readme -->"
END: Final = "<!-- /speed -->"
FIRST: Final = ("run", "round_trip", "stairway", "latency")
"""What a reader asks for first; the others follow as they were measured."""
HEAD: Final = ("what", "size", "neontest", "beside it", "ratio", "bound", "growth")


def line(row: Row) -> str:
    mark = {True: "ok  ", False: "MISS", None: "    "}[row.met]
    bound = f"  (bound {row.bound:g}{' of cpu' if row.by == 'cpu' else ''})" if row.bound is not None else ""
    if not row.theirs:
        what = f"{row.ours}: growth" if row.unit == "exponent" else row.ours
        return f"  {mark} {row.size:>20}  {what}: {amount(row.seconds, row.unit)}{bound}"
    cpu = f", cpu {row.cpu:.3f}" if row.cpu is not None else ""
    both = f"{amount(row.seconds, row.unit)} / {amount(row.their_seconds or 0.0, row.unit)}"
    return f"  {mark} {row.size:>20}  {row.ours} / {row.theirs}: {both} = {row.wall:.3f}{cpu}{bound}"


def amount(value: float, unit: str) -> str:
    match unit:
        case "s":
            return f"{round(value * 1000, 1):g} ms" if value < 1 else f"{value:.2f} s"
        case "exponent":
            return f"n^{round(value, 2) + 0.0:.2f}"  # -0.0 + 0.0 is 0.0
        case "calls":
            return f"{value:.0f} calls"
        case _:
            return f"{value:.0f} {unit}"


def written(text: str, machine: Mapping[str, str], rows: Iterable[Row]) -> str:
    """The README's text with this table in the place of what stood between the marks.

    Raises:
        ValueError: the marks are not there.
    """
    before, mark, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise ValueError(f"the README does not have {BEGIN} and, behind it, {END}")
    return f"{before}{BEGIN}\n{table(machine, rows)}\n{END}{after}"


def table(machine: Mapping[str, str], rows: Iterable[Row]) -> str:
    lines = [" | ".join(HEAD), " | ".join("---" for _ in HEAD)]
    ordered = sorted(rows, key=lambda row: FIRST.index(row.bench) if row.bench in FIRST else len(FIRST))
    for entry in entries(ordered):
        if entry.told:
            lines.append(" | ".join(cell.replace("|", "\\|") for cell in entry.cells()))
    return "\n".join(f"| {each} |" for each in lines) + f"\n\n({', '.join(facts(machine))}.)"


def facts(machine: Mapping[str, str]) -> Iterator[str]:
    yield f"{machine['date']}, on {machine['machine']}"
    yield from (f"{name} {value}" for name, value in machine.items() if name not in ("date", "machine"))


@dataclass
class Entry:
    """One line of the table: something of ours at one size, with all that it was compared with there."""

    ours: str
    size: str
    rows: list[Row] = field(default_factory=list)
    growth: Row | None = None

    @property
    def told(self) -> bool:
        return self.growth is not None or any(row.theirs or row.bound is not None for row in self.rows)

    def cells(self) -> tuple[str, ...]:
        beside = [row for row in self.rows if row.theirs]
        alone = [row for row in self.rows if not row.theirs]
        bounds = [bound(row) for row in (*beside, *alone)]
        return (
            self.ours,
            self.size,
            amount(self.rows[0].seconds, self.rows[0].unit),
            "<br>".join(f"{row.theirs}: {amount(row.their_seconds or 0.0, row.unit)}" for row in beside),
            "<br>".join(ratio(row) for row in beside),
            "<br>".join(bounds) if any(bounds) else "",
            f"{amount(self.growth.seconds, self.growth.unit)} {bound(self.growth)}".rstrip() if self.growth else "",
        )


def ratio(row: Row) -> str:
    return f"{row.cpu:.2f} (processor)" if row.by == "cpu" and row.cpu is not None else f"{row.wall:.2f}"


def bound(row: Row) -> str:
    """Bold where it is not kept."""
    if row.bound is None:
        return ""
    text = f"≤ {row.bound:g}" if row.theirs else f"≤ {amount(row.bound, row.unit)}"
    return text if row.met is not False else f"**{text}**"


def entries(rows: Sequence[Row]) -> list[Entry]:
    """Of each comparison the last size for which there is a bound, or the last of all; and all that missed theirs."""
    chosen: dict[tuple[str, str, str], Row] = {}
    for row in rows:
        key = (row.bench, row.ours, row.theirs)
        if row.unit != "exponent" and (key not in chosen or row.bound is not None or chosen[key].bound is None):
            chosen[key] = row
    found: dict[tuple[str, str, str, float], Entry] = {}
    last: dict[tuple[str, str], Entry] = {}
    for row in rows:
        if row.unit == "exponent":
            last[row.bench, row.ours].growth = row
        elif row.met is False or chosen[row.bench, row.ours, row.theirs] is row:
            together = (row.bench, row.ours, row.size, row.seconds)  # what was measured at another time is another line
            entry = found.setdefault(together, Entry(ours=row.ours, size=row.size))
            entry.rows.append(row)
            last[row.bench, row.ours] = entry
    return list(found.values())
