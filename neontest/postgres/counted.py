# ruff: noqa: S608 - the SQL is put together from constants only
"""What known transactions have changed in the catalogs, found without looking through them.

The server counts the rows that are made and deleted in each catalog. Who knows that certain transactions were all that
there were, and that their counts are in, need not look where nothing was counted; and where as many rows were made as
they have left on the relations that they locked, nowhere else. What deletes such rows of a relation locks it until the
transaction ends, which is not so for changing them: GRANT locks nothing. Only superusers get past that, who write into
catalogs, or switch track_counts off and on where nobody sees it.
Source: src/backend of PostgreSQL 15 to 18 (catalog/dependency.c, commands/, utils/activity/pgstat_relation.c).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache
from typing import Final, NamedTuple

from neontest.postgres.probe import (
    ALONE,
    BY_OID,
    MOMENT,
    SINCE,
    WHOLE,
    near_sql,
    rest_sql,
)


class Known(NamedTuple):
    """Transactions that have ended, and had what they counted brought in when they did."""

    xids: Collection[int] = ()
    oids: Collection[int] = ()
    """The relations that they had locked when somebody looked."""
    made: int = 0
    """Rows that they had inserted and updated by then in the catalogs `ALONE`, at least."""
    deleted: int = 0
    """Rows that they had deleted there by then."""


Counts = Sequence[int]
_BROUGHT_IN: Final = 150_000
"""The first version in which what a transaction counted can be brought in at once."""
FIRST: Final = "EXECUTE neontest_counts; "
"""To be sent before a query with the counts. They have to be older than what it sees of the catalogs: a transaction
that ends between the two would be counted already, and what it changed not be seen."""
COUNTS: Final = 3
"""Stands for an oid where a row says the counts; nothing that is read has it."""
NOTED: Final = 4
"""The same where it says, as words, which oids were looked at."""

_MOST: Final = 1_000
"""Oids that are looked at one by one."""

_REST: Final = (
    *BY_OID,
    *WHOLE,
    *("pg_range", "pg_aggregate", "pg_ts_config_map"),
    *("pg_authid", "pg_user_mapping", "pg_subscription"),
)
"""Catalogs of all else, of which any count matters."""
_MEMBERS: Final = "pg_depend"
"""Of which only members of extensions do."""
_OF_MEMBERS: Final = "refclassid = 'pg_extension'::regclass"

_TYPES: Final = """SELECT oid, typarray FROM pg_type
  WHERE typrelid <> 0 AND oid = ANY(ARRAY(SELECT reltype FROM pg_class WHERE oid = ANY($2)))"""
"""The row types of the relations."""
_LEFT: Final = {
    "pg_type": "oid = ANY(ARRAY(SELECT unnest(ARRAY[oid, typarray]) FROM types))",
    "pg_constraint": "conrelid <> 0 AND conrelid = ANY($2)",
    "pg_description": "objoid = ANY($2) AND classoid = 'pg_class'::regclass",
}
"""Which rows are of the relations `$2`, where that is not what `ALONE` names; all of them, also those that nobody
reads, since all are counted."""
_UNLOCKED: Final = ("pg_type", "pg_enum", "pg_constraint")
"""Catalogs of enums and domains, which are changed without a lock that says so."""


def counting(version: int) -> str:
    """Statements that prepare `FIRST`; none where nobody counts."""
    if version < _BROUGHT_IN:
        return ""
    return f" SET stats_fetch_consistency = cache; PREPARE neontest_counts AS SELECT {_counts(version)};"


def with_counts(sql: str, version: int) -> str:
    """The query of sums with a row `COUNTS`; without one where nobody counts."""
    if version < _BROUGHT_IN:
        return sql
    return f"{sql} UNION ALL SELECT {COUNTS}, array_to_string({_counts(version)}, ' '), 0, ''"


def _counts(version: int) -> str:
    """An array: of each catalog the rows ever made, then of each those deleted; last how many members extensions have.

    Within a transaction it stays what it was at first.
    """
    catalogs = f"unnest('{{{', '.join(_catalogs(version))}}}'::regclass[]) WITH ORDINALITY AS c (id, place)"
    made = "pg_stat_get_tuples_inserted(id) + pg_stat_get_tuples_updated(id)"
    return (
        f"ARRAY(SELECT {made} FROM {catalogs} ORDER BY place)"
        f" || ARRAY(SELECT pg_stat_get_tuples_deleted(id) FROM {catalogs} ORDER BY place)"
        f" || (SELECT count(*) FROM {_MEMBERS} WHERE {_OF_MEMBERS})"
    )


@cache
def changes_sql(version: int) -> str:
    """The probe's rows of what the transactions `$1`, xids, can have changed; that of all else only if they can have.

    `$2` are the relations that they locked, `$3` the counts from before, `$4` the oids of all enums and domains. With
    them come rows `COUNTS`, `MOMENT` and `NOTED`, which has nothing in it where too much would have to be looked at.
    """
    catalogs = _catalogs(version)
    place = {name: number for number, name in enumerate(catalogs, 1)}
    last = 2 * len(catalogs) + 1

    def made(name: str) -> str:
        return f"(SELECT counts[{place[name]}] - $3[{place[name]}] FROM now)"

    def gone(name: str) -> str:
        return f"(SELECT counts[{place[name] + len(catalogs)}] - $3[{place[name] + len(catalogs)}] FROM now)"

    found = []
    for name, (oid, _, _, inside) in ALONE.items():
        left = f"(SELECT count(*) FROM {name} WHERE {_LEFT.get(name, f'{oid} = ANY($2)')} AND xmin = ANY($1))"
        found.append(
            f"SELECT '{name}' AS name, {oid} AS id, {inside} AS inside FROM {name} WHERE xmin = ANY($1)"
            f" AND {made(name)} <> 0 AND {made(name)} <> {left}"
        )
    unlocked = " OR ".join(f"{gone(name)} <> 0" for name in _UNLOCKED)
    rest = " OR ".join(
        [
            *(f"{made(name)} <> 0 OR {gone(name)} <> 0" for name in _REST if name in place),
            *(f"{gone(name)} <> 0" for name in ("pg_type", "pg_description")),
            "EXISTS (SELECT FROM found WHERE name IN ('pg_type', 'pg_description') AND NOT inside)",
            f"(SELECT counts[{last}] <> $3[{last}] FROM now)",
            f"{made(_MEMBERS)} <> 0 AND EXISTS (SELECT FROM {_MEMBERS} WHERE {_OF_MEMBERS} AND xmin = ANY($1))",
        ]
    )
    return f"""
WITH now AS MATERIALIZED (SELECT {_counts(version)} AS counts),
types AS MATERIALIZED ({_TYPES}),
found AS MATERIALIZED ({" UNION ALL ".join(found)}),
near AS MATERIALIZED (SELECT CASE WHEN cardinality(oids) <= {_MOST} THEN oids END AS oids FROM (SELECT ARRAY(
  SELECT unnest($2) UNION SELECT id FROM found WHERE inside UNION SELECT unnest($4) WHERE {unlocked}) AS oids) o)
SELECT * FROM ({near_sql()}) n
UNION ALL SELECT r.* FROM ({rest_sql(version)}) r WHERE {rest}
UNION ALL SELECT {COUNTS}, array_to_string(counts, ' '), 0 FROM now
UNION ALL SELECT {NOTED}, array_to_string(oids, ' '), 0 FROM near
UNION ALL SELECT {MOMENT}, pg_current_snapshot()::text, 0"""


def follows(known: Known, before: Counts, now: Counts) -> bool:
    """Whether one can be counted after the other, all that is known of is in, and nothing was deleted since then."""
    grown = [later - earlier for earlier, later in zip(before[:-1], now[:-1], strict=True)]
    if min(grown) < 0:
        return False  # they were reset
    many, each = len(ALONE), len(grown) // 2
    return sum(grown[:many]) >= known.made and sum(grown[each : each + many]) == known.deleted


def only(xids: Collection[int], before: str, now: str) -> bool:
    """Whether none but these transactions can have ended between two moments, as pg_current_snapshot() tells them.

    Of one that was open at the first it does not tell the parts, whose rows have a number of their own.
    """
    (_, begin, open_then), (_, end, open_now) = (moment.split(":") for moment in (before, now))
    then, running = ({int(each) for each in each_open.split(",") if each} for each_open in (open_then, open_now))
    if int(end) - int(begin) > len(xids) + len(running) or not then <= running:
        return False
    return ({*range(int(begin), int(end))} - running).issubset(xids)


@cache
def _catalogs(version: int) -> tuple[str, ...]:
    return tuple(name for name in (*ALONE, *_REST, _MEMBERS) if SINCE.get(name, 0) <= version)
