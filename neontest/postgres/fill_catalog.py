# ruff: noqa: S608 - the SQL is put together from constants and from oids
"""What the catalogs say of the tables that rows can be invented for.

Left out: system schemas, temporary and foreign tables, what extensions own, Alembic's version tables. Partitions are
told with their root.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

import psycopg2.extensions

from neontest.postgres.connect import Connection, mapped
from neontest.postgres.fill_model import Check, Column, ForeignKey, Partition, Table, Trigger, Type, Unique, identifier
from neontest.postgres.kind import PRELUDE, USER_OID
from neontest.postgres.prepared import execute

_WIDTHS: Final = f"""
SELECT oid::int8, relnatts, relispartition, relnamespace FROM pg_catalog.pg_class
WHERE oid >= {USER_OID} AND relkind IN ('r', 'p') AND relpersistence <> 't'"""

_PARTS: Final = {
    "table": (
        "f.oid",
        """f.nspname, f.relname, f.relkind = 'p',
          has_schema_privilege(f.space, 'USAGE') AND has_table_privilege(f.oid, 'SELECT'),
          row_security_active(f.oid),
          COALESCE((SELECT string_to_array(partattrs::text, ' ')::int[] FROM pg_catalog.pg_partitioned_table p
            WHERE p.partrelid = f.oid), '{}'),
          CASE f.relkind WHEN 'p' THEN ARRAY(SELECT DISTINCT own.attnum FROM pg_partition_tree(f.oid) t
            JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = t.relid
            JOIN pg_catalog.pg_attribute a ON a.attrelid = p.partrelid
              AND a.attnum = ANY (string_to_array(p.partattrs::text, ' ')::int[])
            JOIN pg_catalog.pg_attribute own ON own.attrelid = f.oid AND own.attname = a.attname) END""",
        "found f",
    ),
    "column": (
        "a.attrelid",
        """a.attnum, a.attname, a.atttypid::int8, a.atttypmod, a.attnotnull, a.attidentity::text, a.attgenerated <> '',
          (SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_catalog.pg_attrdef d
            WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum)""",
        "found f JOIN pg_catalog.pg_attribute a ON a.attrelid = f.oid AND a.attnum > 0 AND NOT a.attisdropped",
    ),
    "constraint": (
        "x.conrelid",
        """x.conname, x.contype::text, COALESCE(x.conkey, '{}'), pg_get_constraintdef(x.oid), x.confrelid::int8,
          n.nspname, c.relname, x.confmatchtype = 'f',
          ARRAY(SELECT a.attname::text FROM unnest(x.confkey) WITH ORDINALITY k (number, place)
            JOIN pg_catalog.pg_attribute a ON a.attrelid = x.confrelid AND a.attnum = k.number ORDER BY k.place),
          x.contype = 'f' AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')""",
        """found f JOIN pg_catalog.pg_constraint x
            ON x.conrelid = f.oid AND x.contype IN ('c', 'f') AND x.conparentid = 0
          LEFT JOIN pg_catalog.pg_class c ON c.oid = x.confrelid AND x.contype = 'f'
          LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace""",
    ),
    "unique": (
        "i.indrelid",
        """c.relname, (string_to_array(i.indkey::text, ' ')::int[])[1:i.indnkeyatts],
          ARRAY(SELECT DISTINCT d.refobjsubid FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_class'::regclass
            AND d.objid = i.indexrelid AND d.refclassid = 'pg_class'::regclass AND d.refobjid = i.indrelid
            AND d.refobjsubid > 0 ORDER BY 1),
          i.indpred IS NULL AND i.indexprs IS NULL, i.indisexclusion, i.indisprimary,
          COALESCE((to_jsonb(i)->>'indnullsnotdistinct')::boolean, false)""",
        """found f JOIN pg_catalog.pg_index i ON i.indrelid = f.oid AND (i.indisunique OR i.indisexclusion)
          JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid""",
    ),
    "trigger": (
        "g.tgrelid",
        "g.tgname, g.tgtype::int, string_to_array(NULLIF(g.tgattr::text, ''), ' ')::int[]",
        """found f JOIN pg_catalog.pg_trigger g
            ON g.tgrelid = f.oid AND NOT g.tgisinternal AND g.tgenabled IN ('O', 'A')""",
    ),
    "rule": (
        "w.ev_class",
        "w.rulename, w.ev_type::text",
        """found f JOIN pg_catalog.pg_rewrite w
            ON w.ev_class = f.oid AND w.rulename <> '_RETURN' AND w.ev_enabled IN ('O', 'A')""",
    ),
}
"""What a table has: SQL for the table's oid, for the values, the first of which tells one from another, and where they
are."""

_TABLES: Final = f"""
WITH {PRELUDE},
found AS MATERIALIZED (
  SELECT c.oid, c.relname, c.relkind, n.nspname, n.oid AS space
  FROM rel r JOIN pg_catalog.pg_class c ON c.oid = r.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition)
""" + " UNION ALL ".join(
    f"SELECT '{name}', ({oid})::int8, json_build_array({values}) FROM {source}"
    for name, (oid, values, source) in _PARTS.items()
)

_TYPES: Final = """
SELECT t.oid::int8, t.typname::text,
  CASE WHEN t.typcategory = 'A' AND t.typelem <> 0 AND t.typlen = -1 AND t.typtype = 'b'
    AND t.typname NOT IN ('int2vector', 'oidvector') THEN 'A' ELSE t.typtype::text END,
  CASE t.typtype WHEN 'd' THEN t.typbasetype::int8 WHEN 'b' THEN t.typelem::int8
    WHEN 'r' THEN (SELECT rngsubtype::int8 FROM pg_catalog.pg_range WHERE rngtypid = t.oid)
    WHEN 'm' THEN (SELECT rngtypid::int8 FROM pg_catalog.pg_range WHERE rngmultitypid = t.oid) ELSE 0 END,
  t.typtypmod, t.typnotnull,
  ARRAY(SELECT enumlabel::text FROM pg_catalog.pg_enum WHERE enumtypid = t.oid ORDER BY enumsortorder),
  ARRAY(SELECT a.atttypid::int8 FROM pg_catalog.pg_attribute a WHERE t.typtype = 'c' AND a.attrelid = t.typrelid
    AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum),
  ARRAY(SELECT a.atttypmod FROM pg_catalog.pg_attribute a WHERE t.typtype = 'c' AND a.attrelid = t.typrelid
    AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum),
  ARRAY(SELECT x.conname::text FROM pg_catalog.pg_constraint x WHERE x.contypid = t.oid AND x.contype = 'c'
    ORDER BY x.conname),
  ARRAY(SELECT pg_get_constraintdef(x.oid) FROM pg_catalog.pg_constraint x WHERE x.contypid = t.oid
    AND x.contype = 'c' ORDER BY x.conname)
FROM pg_catalog.pg_type t WHERE t.oid = ANY ($1)"""

_PARTITIONS: Final = """
SELECT root::int8, pg_get_partition_constraintdef(c.oid),
  CASE t.level WHEN 1 THEN pg_get_expr(c.relpartbound, c.oid) END
FROM unnest($1) root CROSS JOIN LATERAL pg_partition_tree(root::regclass) t
  JOIN pg_catalog.pg_class c ON c.oid = t.relid
WHERE t.isleaf AND c.relkind = 'r' ORDER BY root, c.relname"""

_CHECK: Final = re.compile(r"CHECK \((.*)\)(?: NO INHERIT| NOT VALID| NOT ENFORCED)*\Z", re.DOTALL)
_FROM: Final = re.compile(r"FOR VALUES FROM \((.*)\) TO \(", re.DOTALL)
_BOUND: Final = re.compile(r"'((?:[^']|'')*)'(?:::[^,]*)?|([^,\s]+)")


def tables(conn: Connection) -> tuple[Table, ...]:
    """Every table that a user may have rows in, by name.

    Raises:
        DatabaseError: the catalogs could not be read.
    """
    with mapped("cannot read the catalogs"), conn.cursor() as cursor:
        execute(cursor, _TABLES)
        parts: dict[str, dict[int, list[Any]]] = {name: defaultdict(list) for name in _PARTS}
        for name, oid, values in sorted(cursor.fetchall(), key=lambda row: (row[0], row[2][0])):
            parts[name][oid].append(values)
        found = sorted((*values, oid) for oid, (values,) in parts.pop("table").items())
        columns, constraints, uniques, triggers, rules = parts.values()
        partitions = _grouped(cursor, _PARTITIONS, [row[-1] for row in found if row[2]])
        types = _types(cursor, {row[2] for rows in columns.values() for row in rows})
    return tuple(
        Table(
            oid=oid,
            schema=schema,
            name=name,
            partitioned=partitioned,
            readable=readable,
            guarded=guarded,
            partition_key=tuple(key),
            partition_columns=frozenset(bound or ()),
            columns=tuple(_column(row, types) for row in columns[oid]),
            checks=tuple(
                Check(name=row[0], expression=expression(row[3]), columns=tuple(row[2]))
                for row in constraints[oid]
                if row[1] == "c"
            ),
            foreign_keys=tuple(_foreign_key(row) for row in constraints[oid] if row[1] == "f"),
            uniques=tuple(_unique(row) for row in uniques[oid]),
            triggers=tuple(Trigger(name=row[0], events=row[1], columns=tuple(row[2] or ())) for row in triggers[oid]),
            rules=tuple((row[0], row[1]) for row in rules[oid]),
            partitions=tuple(_partition(row, tuple(key)) for row in partitions[oid]),
        )
        for schema, name, partitioned, readable, guarded, key, bound, oid in found
    )


def widths(conn: Connection) -> frozenset[tuple[int, ...]]:
    """By oid, how many columns each table has ever had, and where it is: nothing is made without a new one of these.

    What was there before and is only now a user's, such as a table that an extension has let go, changes none of them.

    Raises:
        DatabaseError: the catalogs could not be read.
    """
    with mapped("cannot read the catalogs"), conn.cursor() as cursor:
        execute(cursor, _WIDTHS)
        return frozenset(cursor.fetchall())


def expression(definition: str) -> str:
    """What stands inside a constraint's CHECK (…)."""
    found = _CHECK.match(definition)
    return found[1] if found else definition


def _grouped(cursor: psycopg2.extensions.cursor, sql: str, oids: list[int]) -> dict[int, list[Any]]:
    """The rows behind their table's oid, which is their first value."""
    grouped: dict[int, list[Any]] = defaultdict(list)
    if oids:
        execute(cursor, sql, "oid[]", (oids,))
        for row in cursor.fetchall():
            grouped[row[0]].append(row[1:])
    return grouped


def _types(cursor: psycopg2.extensions.cursor, oids: Iterable[int]) -> dict[int, Type]:
    """The types behind these oids, with all that they are made of."""
    rows: dict[int, Any] = {}
    missing = set(oids)
    while missing:
        execute(cursor, _TYPES, "oid[]", (sorted(missing),))
        rows |= {row[0]: row for row in cursor.fetchall()}
        missing = {oid for row in rows.values() for oid in (row[3], *row[7]) if oid} - rows.keys()
    built: dict[int, Type] = {}

    def build(oid: int) -> Type:
        if oid not in built:
            _, name, kind, of, modifier, not_null, labels, fields, modifiers, names, checks = rows[oid]
            built[oid] = Type(
                oid=oid,
                name=name,
                kind=kind,
                of=build(of) if of else None,
                modifier=modifier,
                not_null=not_null,
                labels=tuple(labels),
                fields=tuple(zip((build(each) for each in fields), modifiers, strict=True)),
                checks=tuple(
                    Check(name=check, expression=expression(definition))
                    for check, definition in zip(names, checks, strict=True)
                ),
            )
        return built[oid]

    return {oid: build(oid) for oid in rows}


def _column(row: Any, types: dict[int, Type]) -> Column:
    number, name, type, modifier, not_null, identity, generated, default = row
    return Column(
        number=number,
        name=name,
        type=types[type],
        modifier=modifier,
        not_null=not_null,
        default=default,
        identity=identity,
        generated=generated,
    )


def _foreign_key(row: Any) -> ForeignKey:
    name, _, columns, _, target, space, relation, full, target_columns, readable = row
    return ForeignKey(
        name=name,
        columns=tuple(columns),
        target=target,
        target_name=f"{identifier(space)}.{identifier(relation)}",
        target_columns=tuple(target_columns),
        full=full,
        readable=readable,
    )


def _unique(row: Any) -> Unique:
    name, columns, mentioned, plain, excludes, primary, nulls_alike = row
    return Unique(
        name=name,
        columns=tuple(columns),
        # What belongs to a constraint depends on it, and only through it on the columns.
        mentioned=tuple(sorted({*mentioned, *(number for number in columns if number)})),
        plain=plain,
        excludes=excludes,
        primary=primary,
        nulls_alike=nulls_alike,
    )


def _partition(row: Any, key: tuple[int, ...]) -> Partition:
    constraint, bound = row
    found = _FROM.match(bound or "")
    bounds = _BOUND.finditer(found[1]) if found else ()
    parts = [each[1].replace("''", "'") if each[2] is None else each[2] for each in bounds]
    whole = parts and not {"MINVALUE", "MAXVALUE"} & set(parts)
    return Partition(
        bound=Check(name="the partition's bound", expression=constraint or "", columns=tuple(n for n in key if n)),
        lowest=tuple(parts) if whole and len(parts) == len(key) and 0 not in key else (),
    )
