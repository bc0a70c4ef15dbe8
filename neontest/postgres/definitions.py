# ruff: noqa: S608 - the SQL is put together from constants only
"""SQL for what `pg_get_indexdef` and `pg_get_constraintdef` say, letter for letter, without calling them where nothing
is out of the common: of a large schema they would take a sixth of the time.

They look each name, type and operator class up again for each index and each constraint; here a relation's columns
are listed once. Whatever is left out below makes NULL of the text, and the server is asked.
Source: src/backend/utils/adt/ruleutils.c of PostgreSQL 14 to 18.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from neontest.postgres.catalog_relations import FIRST_COLUMN
from neontest.postgres.kind import USER_OID, Kind

BTREE: Final = 403
"""The oid of the access method (pg_am.dat)."""

LISTED: Final = f"""
listed AS MATERIALIZED (
  SELECT r.oid, quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name, a.columns, a.types, a.collations
  FROM rel r JOIN pg_class c ON c.oid = r.oid JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL (
    SELECT array_agg(attname::text ORDER BY attnum) AS columns, array_agg(atttypid ORDER BY attnum) AS types,
      array_agg(attcollation ORDER BY attnum) AS collations
    FROM pg_attribute WHERE attrelid = r.oid AND attnum > 0) a
  WHERE r.relkind IN ('r', 'p', 'm', 'f')),
class AS MATERIALIZED (
  SELECT o.oid, t.oid AS type FROM pg_opclass o JOIN pg_type t ON t.oid = o.opcintype
      OR (t.oid = 'varchar'::regtype AND o.opcintype = 'text'::regtype AND NOT EXISTS (
        SELECT FROM pg_opclass u WHERE u.opcmethod = {BTREE} AND u.opcdefault AND u.oid >= {USER_OID}
          AND (u.opcintype = 'varchar'::regtype OR EXISTS (SELECT FROM pg_cast c
            WHERE c.castsource = 'varchar'::regtype AND c.casttarget = u.opcintype AND c.castmethod = 'b'))))
    WHERE o.opcmethod = {BTREE} AND o.opcdefault AND o.oid < {USER_OID})
"""
"""Two more CTEs, over `rel`: each relation's name and, by number, its columns, dropped ones too; and the operator
class that an index on a column of a type has unless it says another: those of the server's own types, where a varchar
has that of text as long as nobody has made another one that could be its."""


def composed(kind: Kind, version: int) -> Kind:
    """The same kind, read with what is below where that is of use."""
    if kind.name == "index":
        source = f"{kind.source} LEFT JOIN listed l ON l.oid = r.oid"
        return replace(kind, source=source, facts={**kind.facts, "definition": index(version)})
    if kind.name == "constraint":
        listed = " LEFT JOIN listed l ON l.oid = r.oid LEFT JOIN listed f ON f.oid = x.confrelid WHERE "
        return replace(
            kind,
            source=kind.source.replace(" WHERE ", listed, 1),
            title=kind.title.replace(FIRST_COLUMN, "l.columns[x.conkey[1]]"),
            facts={**kind.facts, "definition": constraint(version)},
        )
    return kind


def _columns(numbers: str, of: str) -> str:
    """The columns of these numbers, in this order."""
    return (
        f"CASE cardinality({numbers}) WHEN 1 THEN quote_ident({of}.columns[({numbers})[1]])"
        f" ELSE (SELECT string_agg(quote_ident({of}.columns[k]), ', ') FROM unnest({numbers}) k) END"
    )


def index(version: int) -> str:
    """The definition of index `i`, which is `x` in pg_class, of relation `r`, `l` in `listed`."""
    distinct = "i.indnullsnotdistinct" if version >= 150000 else "false"
    return f"""coalesce(CASE WHEN x.relam = {BTREE} AND i.indexprs IS NULL AND i.indpred IS NULL
        AND x.reloptions IS NULL AND i.indnatts = i.indnkeyatts AND NOT {distinct} AND 0 = ALL (i.indoption)
      THEN CASE WHEN i.indisunique THEN 'CREATE UNIQUE INDEX ' ELSE 'CREATE INDEX ' END || quote_ident(x.relname)
        || CASE r.relkind WHEN 'p' THEN ' ON ONLY ' ELSE ' ON ' END || l.name || ' USING btree ('
        || (SELECT string_agg(quote_ident(l.columns[k.number]), ', ')
            FROM unnest(i.indkey, i.indclass, i.indcollation) k(number, of, sorts)
            HAVING bool_and(l.collations[k.number] = k.sorts
              AND (k.of, l.types[k.number]) IN (SELECT oid, type FROM class)))
        || ')' END, pg_get_indexdef(x.oid))"""


def constraint(version: int) -> str:
    """The definition of constraint `x`, of the relation that is `l` in `listed`; `f` is the one that it refers to."""
    period = "x.conperiod" if version >= 180000 else "false"
    return f"""coalesce(CASE WHEN x.convalidated AND NOT x.condeferrable AND NOT {period} THEN
      CASE x.contype
        WHEN 'n' THEN CASE WHEN NOT x.connoinherit THEN 'NOT NULL ' || quote_ident(l.columns[x.conkey[1]]) END
        WHEN 'c' THEN 'CHECK (' || pg_get_expr(x.conbin, x.conrelid) || ')'
          || CASE WHEN x.connoinherit THEN ' NO INHERIT' ELSE '' END
        WHEN 'p' THEN CASE WHEN (SELECT i.indnatts = i.indnkeyatts FROM pg_index i WHERE i.indexrelid = x.conindid)
          THEN 'PRIMARY KEY (' || {_columns("x.conkey", "l")} || ')' END
        WHEN 'f' THEN CASE WHEN x.confmatchtype = 's' AND x.confdeltype IN ('a', 'c', 'r')
          THEN 'FOREIGN KEY (' || {_columns("x.conkey", "l")} || ') REFERENCES ' || f.name || '('
            || {_columns("x.confkey", "f")} || ')' || {_action("ON UPDATE", "x.confupdtype")}
            || {_action("ON DELETE", "x.confdeltype")} END
      END END, pg_get_constraintdef(x.oid))"""


def _action(event: str, column: str) -> str:
    return (
        f"CASE {column} WHEN 'a' THEN '' WHEN 'c' THEN ' {event} CASCADE' WHEN 'r' THEN ' {event} RESTRICT'"
        f" WHEN 'n' THEN ' {event} SET NULL' WHEN 'd' THEN ' {event} SET DEFAULT' END"
    )
