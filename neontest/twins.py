"""The same upgrade on two branches of the same moment, in different surroundings: both have to end alike."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import msgspec

from neontest.postgres.connect import mapped
from neontest.postgres.data import ColumnChange, DataChange
from neontest.postgres.diff import diff
from neontest.postgres.fingerprint import State
from neontest.postgres.model import Key, Snapshot
from neontest.record import Failure, Twin
from neontest.talk import Talk
from neontest.trial import Trial, failed

S = TypeVar("S")

ZONES: Final = ("Etc/GMT+12", "Pacific/Kiritimati")
"""Twelve hours behind UTC and fourteen ahead of it: the day is always another one."""
PREFERRED: Final = ("tr_TR", "de_DE", "fr_FR", "sv_SE")
"""Languages whose letters, numbers or order differ from English."""
FALLBACK: Final = "C"
NAMED: Final = 5
"""Tables that are named in a note."""
_CALLS: Final = re.compile(r"\w\(|\b(?:CURRENT|LOCAL)_?(?:DATE|TIME|TIMESTAMP|USER)")


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What is another thing for each of the two; everything else is the run's own."""

    environ: Mapping[str, str]
    zone: str
    """Of the sessions on the server."""

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.environ.items())


def surroundings(locales: Iterable[str]) -> tuple[Surroundings, Surroundings]:
    """Both, by the names of the locales that this machine has; the first keeps the run's own locale."""
    language = other_locale(locales)
    first, second = ({"TZ": zone, "PYTHONHASHSEED": str(number)} for number, zone in enumerate(ZONES))
    second |= {"LC_ALL": language, "LANG": language}
    return Surroundings(environ=first, zone=ZONES[0]), Surroundings(environ=second, zone=ZONES[1])


def other_locale(known: Iterable[str]) -> str:
    """A locale in UTF-8 that is not English, of those known; C where there is none, in which Python takes UTF-8, too.

    One that is not installed would stop a project that asks for it by `setlocale`.
    """
    found = [each for each in known if re.search(r"\.utf-?8$", each, re.IGNORECASE) and re.match(r"[a-z]{2,3}_", each)]
    found = [each for each in found if not each.startswith("en_")]
    for wanted in PREFERRED:
        for each in found:
            if each.startswith(wanted):
                return each
    return found[0] if found else FALLBACK


def locales() -> tuple[str, ...]:
    """What `locale -a` lists; nothing where there is no such command."""
    try:
        done = subprocess.run(["locale", "-a"], stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return tuple(done.stdout.decode("utf-8", "replace").split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows(Generic[S]):
    """How the rows of a branch are read, and two readings compared."""

    read: Callable[[Trial], S]
    compare: Callable[[S, S], DataChange]


def twins(
    fresh: Callable[[Trial | None, Mapping[str, str]], Trial],
    target: str,
    *,
    talk: Talk,
    done: Callable[[Trial], None],
    rows: Rows[S] | None = None,
    known: Iterable[str] | None = None,
) -> Twin:
    """What differs between the two; the first that cannot be upgraded at all is a failure, and ends it.

    `fresh` takes a branch at the start in place of another, on which the project runs with these variables, too;
    `done` gives the last one back. Without `rows` only the schemas are compared.
    """
    trial: Trial | None = None
    schemas: list[Snapshot] = []
    states: list[S] = []
    for number, each in enumerate(surroundings(locales() if known is None else known), 1):
        trial = fresh(trial, each.environ)
        talk.say(f"twin {number} of 2: upgrade to {target} with {each}")
        failure = upgraded(trial, target, each)
        if failure is not None:
            done(trial)
            return Twin(failure=failure)
        schemas.append(trial.read())
        if rows is not None:
            states.append(rows.read(trial))
    if trial is not None:
        done(trial)
    data = rows.compare(states[0], states[1]) if rows is not None else DataChange()
    return Twin(different=diff(*schemas), data=explained(data, schemas[0]))


def not_compared(states: Sequence[State]) -> tuple[str, ...]:
    """What is to be said of rows that were not read on both branches; without states, none were."""
    if not states:
        return ("deterministic: no rows were compared, since none are read with --data off",)
    tables: dict[str, dict[str, None]] = {}
    for each in (each for state in states for each in state.reads if each.how in ("not", "count")):
        tables.setdefault(each.why or "they were only counted", {})[each.table.removeprefix("public.")] = None
    return tuple(
        f"deterministic: rows not compared: {', '.join(list(names)[:NAMED])}"
        f"{f' and {len(names) - NAMED} more' if len(names) > NAMED else ''}; {why}"
        for why, names in tables.items()
    )


def upgraded(trial: Trial, target: str, wanted: Surroundings) -> Failure | None:
    """Upgrade with sessions in that time zone; why that failed."""
    # Set for the role, since every driver's sessions have it then; only libpq reads PGTZ.
    with mapped("cannot set the time zone of the role"), trial.connection.cursor() as cursor:
        cursor.execute("ALTER ROLE CURRENT_USER SET TimeZone = %s", (wanted.zone,))
    visit = trial.visit("upgrade", target)
    if failed(visit):
        message = "the version table did not move, and nothing says why"
        failure = visit.error or Failure(kind="NothingRun", message=message)
        return msgspec.structs.replace(failure, hint=f"it worked in the run's own surroundings; here: {wanted}")
    with mapped("cannot reset the time zone of the role"), trial.connection.cursor() as cursor:
        cursor.execute("ALTER ROLE CURRENT_USER RESET TimeZone")
    return None


def explained(data: DataChange, schema: Snapshot) -> DataChange:
    """The same, with a note at each column whose own default is computed anew for each row or moment."""
    tables = tuple(
        msgspec.structs.replace(table, columns=tuple(noted(table.table, column, schema) for column in table.columns))
        for table in data.tables
    )
    return msgspec.structs.replace(data, tables=tables)


def noted(table: str, column: ColumnChange, schema: Snapshot) -> ColumnChange:
    facts = dict(schema.get(Key("column", table, column.column)) or ())
    default = facts.get("default")
    if default is None or not _CALLS.search(default) or column.note is not None:
        return column
    return msgspec.structs.replace(column, note=f"its default is {default}")
