"""What a look asks the server, and what its lines say: locks, new files, scans, changed rows, log written.

A part of `worker`, so it runs in the project's interpreter too: Python 3.8, nothing of ours.
"""

# ruff: noqa: UP006, UP035, UP045
from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, NamedTuple, Optional, Tuple

if TYPE_CHECKING:
    from neontest.migrate.driver import decoded
else:
    from neontest_driver import decoded  # put there by worker

Facts = Dict[str, Any]

TOAST = re.compile(r"pg_toast_([0-9]+)\Z")
INTERVAL = re.compile(r"(\d+)\s*(us|ms|s|min|h|d)?\Z")
TIMEOUT = re.compile(r"statement_timeout'?\s*(?:=|to|,)\s*'?(\d+)\s*(us|ms|s|min|h|d)?\b", re.IGNORECASE)
SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
NOTHING = "-"
"""Stands for what is not known, or not asked."""

# Every name is qualified: the migration may have any search_path, with functions and operators of its own. Names come
# as hexadecimal bytes of the server's encoding: it is not said that another has all characters. There is no `%`,
# `:name` or `?` that a driver could take for a parameter.
QUERY = """
SELECT pg_catalog.concat_ws(' ', '=', pg_catalog.getdatabaseencoding(), pg_catalog.current_setting('lock_timeout'),
  pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), '0/0'), [counted])
UNION ALL SELECT pg_catalog.concat_ws(' ', l.relation, l.mode, pg_catalog.pg_stat_get_xact_numscans(l.relation),
  pg_catalog.pg_stat_get_xact_tuples_inserted(l.relation), pg_catalog.pg_stat_get_xact_tuples_updated(l.relation),
  pg_catalog.pg_stat_get_xact_tuples_deleted(l.relation), c.relkind, c.relfilenode,
  pg_catalog.encode(pg_catalog.convert_to(c.relnamespace::pg_catalog.regnamespace::pg_catalog.text,
    pg_catalog.getdatabaseencoding()), 'hex'),
  pg_catalog.encode(pg_catalog.convert_to(c.relname::pg_catalog.text, pg_catalog.getdatabaseencoding()), 'hex')[size])
FROM pg_catalog.pg_lock_status() l LEFT JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) l.relation
WHERE l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() AND l.granted
  AND l.locktype OPERATOR(pg_catalog.=) 'relation'::pg_catalog.text
  AND l.relation OPERATOR(pg_catalog.>=) '16384'::pg_catalog.oid[own]
"""
"""A line of all, beginning with `=`; and one of each mode in which a relation is locked."""
OWN = """ AND NOT (l.relation OPERATOR(pg_catalog.=) ANY ('{[oids]}'::pg_catalog.oid[])
    AND l.mode OPERATOR(pg_catalog.=) ANY ('{AccessShareLock,RowShareLock,RowExclusiveLock}'::pg_catalog.text[]))"""
"""Not what is Alembic's, as long as it stays what it is."""
SIZE = """,
  CASE WHEN l.mode OPERATOR(pg_catalog.<>) 'AccessShareLock' THEN pg_catalog.concat_ws(' ', c.reltuples, c.relpages,
    coalesce(CASE WHEN c.relkind OPERATOR(pg_catalog.=) 'i' OR c.relkind OPERATOR(pg_catalog.=) 'I' THEN
      (SELECT i.indrelid FROM pg_catalog.pg_index i WHERE i.indexrelid OPERATOR(pg_catalog.=) c.oid[dear]) END, c.oid),
    [parent],
    CASE WHEN c.relkind OPERATOR(pg_catalog.=) ANY ('{r,m,i,t}'::pg_catalog."char"[])
      THEN pg_catalog.pg_relation_size(c.oid) END[parts]) END"""
PARTS = """,
    CASE WHEN l.mode OPERATOR(pg_catalog.=) 'RowExclusiveLock' THEN pg_catalog.concat(':', (SELECT
      pg_catalog.string_agg(pg_catalog.concat_ws(':', p.part, pg_catalog.pg_relation_size(p.part)), ',')
      FROM (SELECT i.indexrelid FROM pg_catalog.pg_index i
          WHERE i.indrelid OPERATOR(pg_catalog.=) ANY (ARRAY[c.oid, c.reltoastrelid])[dear]
        UNION ALL SELECT c.reltoastrelid WHERE c.reltoastrelid OPERATOR(pg_catalog.<>) '0'::pg_catalog.oid) p(part)))
    END"""
"""Who writes rows lets go of the indexes at once, and of the toast table where a part is rolled back: their sizes come
with the table's."""
UNASKED = 1
"""Stands for the table that a partition is of."""
PARENT = """coalesce(CASE WHEN c.relispartition THEN (SELECT h.inhparent FROM pg_catalog.pg_inherits h
      WHERE h.inhrelid OPERATOR(pg_catalog.=) c.oid) END, 0)"""
"""The table that a partition is of. To begin another part of a query takes longer than what it finds."""
DEAR = " AND pg_catalog.pg_table_is_visible(i.indexrelid) IS NOT NULL"
"""Always true, and reckoned as dear: so an index is used also where there were few rows when this was planned."""
SINCE_15 = """coalesce(CASE WHEN pg_catalog.current_setting('track_counts') OPERATOR(pg_catalog.=) 'on'
    THEN pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text END, '-'),
  [sums], pg_catalog.pg_stat_force_next_flush()"""
"""Has the counters go to the shared statistics when the transaction ends, so that the next one's begin at 0. And which
transaction it is."""
SUMS = """(SELECT pg_catalog.concat_ws(' ', pg_catalog.sum(pg_catalog.pg_stat_get_xact_tuples_inserted(c)
      OPERATOR(pg_catalog.+) pg_catalog.pg_stat_get_xact_tuples_updated(c)),
      pg_catalog.sum(pg_catalog.pg_stat_get_xact_tuples_deleted(c)))
    FROM pg_catalog.unnest('{[catalogs]}'::pg_catalog.regclass[]) c)"""
"""How many rows it has made in the catalogs of relations and deleted there."""
CATALOGS = """pg_class pg_attribute pg_constraint pg_index pg_type pg_enum pg_trigger pg_rewrite pg_policy
  pg_statistic_ext pg_sequence pg_inherits pg_partitioned_table pg_foreign_table pg_description"""
"""Those of relations, enums and domains."""


class Kind(NamedTuple):
    """What a look asks."""

    sized: bool = True
    """Sizes, of what is not only read."""
    parts: bool = False
    """Those of the indexes and the toast tables of tables whose rows were written."""
    parents: bool = False
    """Which table a partition is of; else only whether it is one."""
    sums: bool = False
    """Rows made and deleted in catalogs."""
    own: Tuple[int, ...] = ()
    """Oids of what is Alembic's, which are left out."""


def query(kind: Kind, *, since_15: bool) -> str:
    """The text of a look."""
    catalogs = ", ".join("pg_catalog." + name for name in CATALOGS.split())
    counted = SUMS.replace("[catalogs]", catalogs) if kind.sums else "'- -'"
    later = SINCE_15.replace("[sums]", counted) if since_15 else "'- - -'"
    whole = QUERY.replace("[counted]", later).replace("[size]", SIZE if kind.sized else "")
    own = OWN.replace("[oids]", ",".join(map(str, kind.own))) if kind.own else ""
    whole = whole.replace("[parent]", PARENT if kind.parents else "c.relispartition::pg_catalog.int4")
    whole = whole.replace("[parts]", PARTS if kind.parts else "").replace("[dear]", DEAR)
    return whole.replace("[own]", own).strip()


class Head(NamedTuple):
    """What a look says of the transaction."""

    encoding: str
    timeout: float
    wal: int
    xid: Optional[int]
    made: Optional[int]
    deleted: Optional[int]


class Seen(NamedTuple):
    """What it says of a relation that is locked; name and kind are empty where it was dropped."""

    oid: int
    modes: List[str]
    counts: Tuple[int, ...]
    kind: str
    node: int
    schema: str
    name: str
    size: Optional[Tuple[Any, ...]]
    """As `reports.Sized` has it; None where it is not known, or not all of it."""
    part: bool
    """It is a partition, of which table was not asked."""


def head(line: str) -> Head:
    # After the last one is what a function without a result leaves.
    _, encoding, timeout, wal, xid, made, deleted = line.split(" ")[:7]
    numbers = [int(each) if each != NOTHING else None for each in (xid, made, deleted)]
    return Head(encoding, interval(timeout), int(wal), *numbers)


def relation(line: str) -> str:
    """The oid, as it is written."""
    return line[: line.index(" ")]


def seen(lines: Iterable[str], encoding: str) -> List[Seen]:
    """What lines say, of all modes of a relation together; the oldest comes first."""
    modes: Dict[str, List[str]] = {}
    parts: Dict[str, List[str]] = {}
    for line in lines:
        part = line.split(" ")
        modes.setdefault(part[0], []).append(part[1])
        if len(part) > len(parts.get(part[0], ())):
            parts[part[0]] = part
    return [one(parts[oid], sorted(modes[oid]), encoding) for oid in sorted(modes, key=int)]


def one(part: List[str], modes: List[str], encoding: str) -> Seen:
    oid, counts = int(part[0]), (int(part[2]), int(part[3]), int(part[4]), int(part[5]))
    if len(part) < 10:
        return Seen(oid, modes, counts, "", 0, "", "", None, False)
    schema, name = decoded(bytes.fromhex(part[8]), encoding), decoded(bytes.fromhex(part[9]), encoding)
    if schema.startswith('"'):
        schema = schema[1:-1].replace('""', '"')
    size = sized(oid, part[6], name, part[10:]) if len(part) > 10 else None
    return Seen(oid, modes, counts, part[6], int(part[7]), schema, name, size, size is None and len(part) > 10)


def sized(oid: int, kind: str, name: str, part: List[str]) -> Optional[Tuple[Any, ...]]:
    """What the statistics and the files of a relation say; None of a partition of who knows which table."""
    tuples, pages, table, parent, *more = part
    parts = None
    if more and more[-1].startswith(":"):
        parts = [tuple(map(int, each.split(":"))) for each in more.pop()[1:].split(",") if each]
    toast = TOAST.match(name) if kind == "t" else None
    whole = int(toast.group(1)) if toast else int(table)
    partition = int(parent) or None if whole == oid else None
    if partition == UNASKED:
        return None
    return whole, float(tuples), int(pages), int(more[0]) if more else None, partition, parts


def interval(text: str) -> float:
    """Seconds of a setting such as `5s` or `100ms`."""
    found = INTERVAL.match(text)
    return int(found.group(1)) * SECONDS[found.group(2) or "ms"] if found else 0.0


def timeout(sql: str) -> Optional[float]:
    """The seconds of the last `statement_timeout` that it sets, 0 for none; None where it sets none."""
    found = TIMEOUT.findall(sql) if "timeout" in sql.lower() else []
    return int(found[-1][0]) * SECONDS[found[-1][1].lower() or "ms"] if found else None
