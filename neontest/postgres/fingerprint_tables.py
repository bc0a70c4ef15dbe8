# ruff: noqa: S608 - the SQL is put together from constants only
"""What there is to read, from the catalogs: tables, sequences, large objects."""

from __future__ import annotations

from collections.abc import Collection
from operator import itemgetter
from typing import Any, Final

import msgspec
import psycopg2.errors

from neontest.postgres.connect import Connection, mapped
from neontest.postgres.fingerprint_model import Column, Table
from neontest.postgres.kind import PRELUDE
from neontest.postgres.prepared import execute

_SIZE: Final = (
    "sum(pg_relation_size(l.oid) + CASE WHEN l.reltoastrelid <> 0 THEN pg_relation_size(l.reltoastrelid) ELSE 0 END)"
)
_SIZE_WITHOUT_LOCK: Final = "sum(l.relpages::int8 * 8192)"
"""As of the last VACUUM or ANALYZE."""

_STAMPED: Final = r"""EXISTS (SELECT FROM pg_trigger g JOIN pg_proc f ON f.oid = g.tgfoid
    WHERE g.tgrelid = r.oid AND NOT g.tgisinternal AND g.tgenabled <> 'D' AND g.tgtype & 19 = 19
    AND (f.prosrc ~* ('\mnew\s*\.\s*"?' || regexp_replace(a.attname, '(\W)', '\\\1', 'g') || '"?\s*:=')
      OR f.prosrc ~* ('(;|\m(begin|then|else))\s*new\s*\.\s*"?' || regexp_replace(a.attname, '(\W)', '\\\1', 'g')
        || '"?\s*=')
      OR a.attname::text = ANY (string_to_array(encode(g.tgargs, 'escape'), '\000'))))"""
"""A trigger BEFORE UPDATE, for each row, assigns to the column (not only compares it), or was given its name."""

_LEAVES: Final = """FROM pg_class l WHERE r.wanted AND l.relkind IN ('r', 'm')
  AND l.oid IN (SELECT r.oid UNION ALL SELECT p.oid FROM part p WHERE p.root = r.oid)"""

_TABLE: Final = 0
_SEQUENCE: Final = 1
_LARGE_OBJECTS: Final = 2
"""What a row of the listing is about."""

_EVERYTHING: Final = f"""WITH RECURSIVE {PRELUDE},
part(oid, root) AS (
  SELECT h.inhrelid, h.inhparent FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhparent
    WHERE c.relkind = 'p' AND NOT c.relispartition
  UNION ALL
  SELECT h.inhrelid, p.root FROM part p JOIN pg_inherits h ON h.inhparent = p.oid),
base(oid, of) AS (
  SELECT oid, typbasetype FROM pg_type WHERE typtype = 'd'
  UNION ALL
  SELECT b.oid, t.typbasetype FROM base b JOIN pg_type t ON t.oid = b.of WHERE t.typtype = 'd'),
chosen AS MATERIALIZED (
  SELECT r.oid, r.name, r.relkind, p.root,
    $1 IS NULL OR r.oid = ANY ($1) OR r.name = ANY ($2)
    OR r.oid IN (SELECT w.root FROM part w JOIN rel q ON q.oid = w.oid WHERE w.oid = ANY ($1) OR q.name = ANY ($2))
    AS wanted
  FROM rel r LEFT JOIN part p ON p.oid = r.oid WHERE r.relkind IN ('r', 'p'))
SELECT {_TABLE}, r.oid, r.name, r.root, n.nspname, c.relname, r.relkind = 'p', d.columns, k.columns, s.rows, s.bytes
FROM chosen r JOIN pg_class c ON c.oid = r.oid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (
  SELECT coalesce(json_agg(json_build_array(a.attname, a.attnum, coalesce(b.of, a.atttypid)::int8,
    format_type(a.atttypid, a.atttypmod), {_STAMPED}) ORDER BY a.attnum), '[]') AS columns
  FROM pg_attribute a LEFT JOIN base b ON b.oid = a.atttypid
    AND NOT EXISTS (SELECT FROM pg_type t WHERE t.oid = b.of AND t.typtype = 'd')
  WHERE r.wanted AND a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> 'v'
  ) d ON r.wanted
LEFT JOIN LATERAL (
  SELECT (i.indkey::int2[])[0:i.indnkeyatts - 1] AS columns FROM pg_index i
  WHERE r.wanted AND i.indrelid = r.oid AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indisready
    AND i.indpred IS NULL AND i.indexprs IS NULL
    AND (i.indisprimary OR NOT EXISTS (
      SELECT FROM unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) u JOIN pg_attribute a
        ON a.attrelid = r.oid AND a.attnum = u WHERE NOT a.attnotnull OR a.attgenerated = 'v'))
  ORDER BY i.indisprimary DESC, i.indnkeyatts, i.indkey::int2[] LIMIT 1) k ON r.wanted
LEFT JOIN LATERAL (
  SELECT CASE WHEN min(l.reltuples) >= 0 THEN sum(l.reltuples)::int8 END AS rows, {_SIZE}::int8 AS bytes {_LEAVES}
  ) s ON r.wanted
UNION ALL
SELECT {_SEQUENCE}, r.oid, r.name, NULL, n.nspname, c.relname, has_schema_privilege(n.oid, 'USAGE'),
  NULL, NULL, s.seqincrement, NULL
FROM rel r JOIN pg_class c ON c.oid = r.oid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_sequence s ON s.seqrelid = r.oid
WHERE CASE r.relkind WHEN 'S' THEN has_sequence_privilege(r.oid, 'SELECT') END
UNION ALL
SELECT {_LARGE_OBJECTS}, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, count(*), NULL FROM pg_largeobject_metadata
"""
"""A row a table; what comes after its name is NULL where it is not wanted, and is not looked for: so `wanted` is asked
inside of each join, too. A row a sequence that this role may read, if it may use its schema, which stands in the place
of whether a table is partitioned; and one that counts the large objects. Both have their number in that of the rows."""


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A table that there is."""

    oid: int
    name: str
    root: int | None
    """Of which partitioned table it is a part, at whatever depth."""
    table: Table | None
    """Where it was asked for."""


class Sequence(msgspec.Struct, frozen=True, kw_only=True):
    """A sequence that there is."""

    oid: int
    name: str
    schema: str
    relation: str
    increment: int
    usable: bool
    """This role may use its schema."""


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """All that there is at one moment."""

    tables: tuple[Listed, ...]
    sequences: tuple[Sequence, ...]
    """Those that this role may read, by oid."""
    large_objects: int
    """How many."""


def listed(conn: Connection, oids: Collection[int] | None = None, names: Collection[str] = ()) -> Listing:
    """Every table, with all about those of these oids (None: all) or names, and the roots of such partitions; every
    sequence; and how many large objects. In one round trip.

    Raises:
        DatabaseError: the catalogs could not be read.
    """
    given = (None if oids is None else list(oids), list(names))
    with mapped("cannot list the tables"), conn.cursor() as cursor:
        try:
            execute(cursor, _EVERYTHING, "oid[], text[]", given)
        except psycopg2.errors.LockNotAvailable:
            # Somebody keeps a table locked. Sizes only say where to begin.
            execute(cursor, _EVERYTHING.replace(_SIZE, _SIZE_WITHOUT_LOCK), "oid[], text[]", given)
        rows = cursor.fetchall()
    return Listing(
        tables=tuple(_listed(row) for row in rows if row[0] == _TABLE),
        sequences=tuple(
            Sequence(oid=oid, name=name, schema=schema, relation=relation, increment=increment, usable=usable)
            for _, oid, name, _, schema, relation, usable, _, _, increment, _ in sorted(
                (row for row in rows if row[0] == _SEQUENCE), key=itemgetter(1)
            )
        ),
        large_objects=sum(int(row[-2]) for row in rows if row[0] == _LARGE_OBJECTS),
    )


def _listed(row: tuple[Any, ...]) -> Listed:
    _, oid, name, root, schema, relation, partitioned, columns, key, rows, size = row
    table = None
    if columns is not None:
        table = Table(
            oid=oid,
            name=name,
            schema=schema,
            relation=relation,
            partitioned=partitioned,
            columns=tuple(Column(name=c[0], number=c[1], base=c[2], type=c[3], stamped=c[4]) for c in columns),
            key=tuple(key or ()),
            rows=rows,
            bytes=size or 0,
        )
    return Listed(oid=oid, name=name, root=root, table=table)
