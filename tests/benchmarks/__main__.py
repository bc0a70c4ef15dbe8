"""Benchmarks, ours beside others in one run: `python -m tests.benchmarks [NAME…]`.

Peers come with the extra `bench`; those that are not installed are left out, and said. Every number is a median of
calls that take turns; a ratio is the median of the ratios of the calls that followed each other. How whole runs grow is
told by one run of each size. All of it takes half an hour, --nightly more, --quick less than three minutes.
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
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from neontest.errors import NoPostgres
from neontest.local.binaries import find
from tests.benchmarks.measure import Row
from tests.benchmarks.place import ROOT, Place, place
from tests.benchmarks.readme import line, written

README = ROOT / "README.md"
PACKAGES = (
    *("alembic", "sqlalchemy", "psycopg2-binary", "pytest"),
    *("pytest-alembic", "pytest-mrt", "alembic-gauntlet", "schemainspect"),
)


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
    parser.add_argument("--nightly", action="store_true", help="wait for the slow ones at 500 revisions, too")
    parser.add_argument("--postgres-version", type=int, metavar="MAJOR", help="default: that of any local run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures, to compare them over time")
    parser.add_argument("--against", type=Path, metavar="FILE", help="print how the ratios changed since that file")
    parser.add_argument("--and", type=Path, metavar="FILE", dest="others", help="take what is not named from that file")
    parser.add_argument("--readme", action="store_true", help="write the table into README.md: the whole suite's only")
    args = parser.parse_args(argv)
    unknown = set(args.name) - set(known)
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    if args.quick and args.nightly:
        parser.error("--quick has the smallest sizes only, --nightly the largest: give one of them")
    if args.readme and (args.quick or (args.name and not args.others)):
        parser.error(
            "--readme tells of the whole suite: give it no names, or the others' file (--and), and not --quick"
        )
    if args.postgres_version is not None:
        try:
            find(wanted_major=args.postgres_version, environ=os.environ)
        except NoPostgres as error:
            parser.error(str(error))
    machine = facts()
    if args.readme:
        try:
            written(README.read_text(encoding="utf-8"), machine, [])
        except ValueError as error:
            parser.error(str(error))  # now, and not when everything is measured
    print(told(machine), flush=True)
    before = {key(each): each for each in json.loads(args.against.read_text())["rows"]} if args.against else {}
    others = json.loads(args.others.read_text()) if args.others else None
    rows: list[Row] = []
    with place(quick=args.quick, nightly=args.nightly, wanted=args.postgres_version) as where:
        machine["postgres"] = str(where.binaries.version)
        for name in args.name or known:
            print(f"\n{name}", flush=True)
            for row in measured(name, where):
                rows.append(row)
                print(line(row) + since(row, before), flush=True)
            if args.json:
                saved(args.json, machine, rows)
    if others:
        try:
            rows = joined(rows, args.name or known, machine, others)
        except ValueError as error:
            parser.error(str(error))
        if args.json:
            saved(args.json, machine, rows)
    if args.readme:
        README.write_text(written(README.read_text(encoding="utf-8"), machine, rows), encoding="utf-8")
    missed = [row for row in rows if row.met is False]
    print(f"\n{len(rows)} rows, {sum(row.met is True for row in rows)} within their bound, {len(missed)} not")
    return 0


def saved(file: Path, machine: dict[str, str], rows: Sequence[Row]) -> None:
    file.write_text(json.dumps({"machine": machine, "rows": [asdict(row) for row in rows]}, indent=1) + "\n")


def joined(rows: Sequence[Row], names: Collection[str], machine: dict[str, str], others: dict[str, Any]) -> list[Row]:
    """These rows, and of an earlier run those of the benchmarks that were not run now, in the order of their names.

    Raises:
        ValueError: that run was on another machine or day, or with other releases.
    """
    if others["machine"] != machine:
        raise ValueError("--and: that run was on another machine or day, or with other releases")
    earlier = [Row(**each) for each in others["rows"] if each["bench"] not in names]
    return sorted([*rows, *earlier], key=lambda row: row.bench)


def measured(name: str, where: Place) -> Iterator[Row]:
    module: Any = importlib.import_module(f"tests.benchmarks.bench_{name}")
    yield from module.rows(where)


def facts() -> dict[str, str]:
    """The machine, the day, and the releases that were measured."""
    found = {"date": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}", "python": platform.python_version()}
    found["machine"] = f"{os.cpu_count()} cores of {processor()}, {platform.system()}"
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def processor() -> str:
    """Its name where the system tells one, else its kind."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [each.partition(":")[2].strip() for each in lines if each.startswith("model name")]
    return f"{names[0]} ({platform.machine()})" if names else platform.machine()


def told(machine: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in machine.items())


def key(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in ("bench", "size", "ours", "theirs", "unit"))


def since(row: Row, before: dict[tuple[str, ...], dict[str, Any]]) -> str:
    was = before.get(key(asdict(row)))
    if was is None:
        return ""
    old = was["wall"] if row.theirs else was["seconds"]
    now = row.wall if row.theirs else row.seconds
    return f"  [{(now or 0.0) / old:.2f} of what it was]" if old else ""


if __name__ == "__main__":
    sys.exit(main())
