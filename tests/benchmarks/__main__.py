"""Benchmarks, ours beside others in one run: `python -m tests.benchmarks [NAME…]`.

Peers come with the extra `bench`; those that are not installed are left out, and said. Every number is a median of
calls that take turns; a ratio is the median of the ratios of the calls that followed each other.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import json
import os
import pkgutil
import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tests.benchmarks.measure import Row
from tests.benchmarks.place import Place, place

PACKAGES = ("alembic", "sqlalchemy", "psycopg2-binary", "pytest", "pytest-alembic", "pytest-mrt", "schemainspect")


def names() -> list[str]:
    """Every module of this folder that has a `rows`."""
    return sorted(
        each.name for each in pkgutil.iter_modules([str(Path(__file__).parent)]) if each.name.startswith("bench_")
    )


def main(argv: Sequence[str] | None = None) -> int:
    known = [name.removeprefix("bench_") for name in names()]
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=str(__doc__).partition("\n")[0])
    parser.add_argument("name", nargs="*", help=f"which: {', '.join(known)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="smallest sizes, one round: see that everything runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures, to compare them over time")
    parser.add_argument("--against", type=Path, metavar="FILE", help="print how the ratios changed since that file")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table as the README has it")
    args = parser.parse_args(argv)
    unknown = set(args.name) - set(known)
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    machine = facts()
    print(told(machine), flush=True)
    before = {key(each): each for each in json.loads(args.against.read_text())["rows"]} if args.against else {}
    rows: list[Row] = []
    with place(quick=args.quick) as where:
        machine["postgres"] = str(where.binaries.version)
        for name in args.name or known:
            print(f"\n{name}", flush=True)
            for row in measured(name, where):
                rows.append(row)
                print(line(row) + since(row, before), flush=True)
    if args.json:
        args.json.write_text(json.dumps({"machine": machine, "rows": [asdict(row) for row in rows]}, indent=1) + "\n")
    if args.markdown:
        args.markdown.write_text(markdown(machine, rows), encoding="utf-8")
    missed = [row for row in rows if row.met is False]
    print(f"\n{len(rows)} comparisons, {sum(row.met is True for row in rows)} within their bound, {len(missed)} not")
    return 0


def measured(name: str, where: Place) -> Iterator[Row]:
    module: Any = importlib.import_module(f"tests.benchmarks.bench_{name}")
    yield from module.rows(where)


def facts() -> dict[str, str]:
    """The machine, the day, and the releases that were measured."""
    found = {"date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}", "python": platform.python_version()}
    found["machine"] = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def told(machine: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in machine.items())


def line(row: Row) -> str:
    mark = {True: "ok  ", False: "MISS", None: "    "}[row.met]
    bound = f"  (bound {row.bound:g}{' of cpu' if row.by == 'cpu' else ''})" if row.bound is not None else ""
    if not row.theirs:
        return f"  {mark} {row.size:>12}  {row.ours}: {amount(row.seconds, row.unit)}{bound}"
    cpu = f", cpu {row.cpu:.3f}" if row.cpu is not None else ""
    both = f"{amount(row.seconds, row.unit)} / {amount(row.their_seconds or 0.0, row.unit)}"
    return f"  {mark} {row.size:>12}  {row.ours} / {row.theirs}: {both} = {row.wall:.3f}{cpu}{bound}"


def amount(value: float, unit: str) -> str:
    if unit == "s":
        return f"{value * 1000:.1f} ms" if value < 1 else f"{value:.2f} s"
    return f"{value:.2f} {unit}"


def key(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in ("bench", "size", "ours", "theirs"))


def since(row: Row, before: dict[tuple[str, ...], dict[str, Any]]) -> str:
    was = before.get(key(asdict(row)))
    if was is None:
        return ""
    old = was["wall"] if row.theirs else was["seconds"]
    now = row.wall if row.theirs else row.seconds
    return f"  [{(now or 0.0) / old:.2f} of what it was]" if old else ""


def markdown(machine: dict[str, str], rows: Sequence[Row]) -> str:
    """The comparisons that have a bound, as a table."""
    text = [
        f"Measured on {told(machine)}.",
        "",
        "| what | size | ours | theirs | ratio |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        if row.theirs:
            theirs = f"{row.theirs}: {amount(row.their_seconds or 0.0, row.unit)}"
            ratio = f"{row.wall:.2f}"
        else:
            theirs = ratio = ""
        text.append(f"| {row.ours} | {row.size} | {amount(row.seconds, row.unit)} | {theirs} | {ratio} |")
    return "\n".join(text) + "\n"


if __name__ == "__main__":
    sys.exit(main())
