# ruff: noqa: S608 - the SQL is put together from constants only
"""The queries that say whether any catalog behind a snapshot changed, without reading what is in it.

Every committed change of a catalog row gives it a new xmin or removes it, so a digest over (row, xmin) of all
catalogs that any query here reads, straight or through a deparsing function, answers "nothing changed"; rows that
never change alone need not be in it. It answers nothing else: after RENAME COLUMN the rows of an index or a
view that names it keep their xmin and yet deparse anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final

from neontest.postgres.kind import HEAP, USER_OID

TOAST: Final = 99
"""The oid of the schema of toast tables, whatever its name (pg_namespace.dat)."""

ALONE: Final = {
    "pg_class": ("oid", "oid", "", f"oid >= {USER_OID} AND relnamespace <> {TOAST}"),
    "pg_attribute": ("attrelid", "attrelid", "attnum", f"attrelid >= {USER_OID} AND attnum > 0"),
    "pg_constraint": ("CASE conrelid WHEN 0 THEN contypid ELSE conrelid END", "oid", "", f"oid >= {USER_OID}"),
    "pg_index": ("indrelid", "indexrelid", "", f"indrelid >= {USER_OID}"),
    "pg_type": (
        "CASE typrelid WHEN 0 THEN oid ELSE typrelid END",
        "oid",
        "",
        f"oid >= {USER_OID} AND (typrelid <> 0 OR typtype IN ('e', 'd'))",
    ),
    "pg_enum": ("enumtypid", "oid", "", f"enumtypid >= {USER_OID}"),
    "pg_trigger": ("tgrelid", "oid", "", f"tgrelid >= {USER_OID} AND NOT tgisinternal"),
    "pg_rewrite": ("ev_class", "oid", "", f"ev_class >= {USER_OID}"),
    "pg_policy": ("polrelid", "oid", "", f"polrelid >= {USER_OID}"),
    "pg_statistic_ext": ("stxrelid", "oid", "", f"stxrelid >= {USER_OID}"),
    "pg_sequence": ("seqrelid", "seqrelid", "", f"seqrelid >= {USER_OID}"),
    "pg_inherits": ("inhrelid", "inhrelid", "inhseqno", f"inhrelid >= {USER_OID}"),
    "pg_partitioned_table": ("partrelid", "partrelid", "", f"partrelid >= {USER_OID}"),
    "pg_foreign_table": ("ftrelid", "ftrelid", "", f"ftrelid >= {USER_OID}"),
    "pg_description": (
        "objoid",
        "objoid",
        "objsubid",
        f"objoid >= {USER_OID} AND classoid = 'pg_class'::regclass",
    ),
}
"""Catalogs of what is read without all else: relations, enums, domains, and what hangs on them. Its oid (or that of an
index, which the catalogs can lead back), the oid and the number that name a row, and which rows.

What is read and never changes alone is left out: defaults change with their pg_attribute (StoreAttrDefault and
RemoveAttrDefaultById in catalog/pg_attrdef.c, of 14 in heap.c), the owner of a sequence with its pg_sequence
(AlterSequence in commands/sequence.c), options of a toast table with its table's pg_class (ATExecSetRelOptions in
commands/tablecmds.c). Only superusers who write into catalogs get past that.
Source: src/backend of PostgreSQL 14 to 18.
"""

NEAR: Final = 100
"""Oids that are asked for one by one where the sum has changed."""

_NEAR: Final = "(SELECT oids FROM near)::oid[]"

OF: Final = {
    "pg_constraint": (f"conrelid <> 0 AND conrelid = ANY({_NEAR})", f"conrelid = 0 AND contypid = ANY({_NEAR})"),
    "pg_type": (f"oid = ANY({_NEAR} || ARRAY(SELECT reltype FROM pg_class WHERE oid = ANY({_NEAR})))",),
}
"""Which of their rows are of those oids, one after the other, where that is not a column: so that an index finds
them."""

BY_OID: Final = (
    "pg_proc",
    "pg_operator",
    "pg_opclass",
    "pg_opfamily",
    "pg_amop",
    "pg_amproc",
    "pg_am",
    "pg_cast",
    "pg_collation",
    "pg_conversion",
    "pg_ts_config",
    "pg_ts_dict",
    "pg_ts_parser",
    "pg_ts_template",
    "pg_language",
    "pg_transform",
    "pg_event_trigger",
    "pg_foreign_data_wrapper",
    "pg_foreign_server",
)
"""Other catalogs with a column oid, of which rows below the first user's oid are never told."""

WHOLE: Final = {
    "pg_namespace": "oid::int8",
    "pg_extension": "oid::int8",
    "pg_default_acl": "oid::int8",
    "pg_publication": "oid::int8",
    "pg_publication_rel": "oid::int8",
    "pg_publication_namespace": "oid::int8",
    "pg_database": "oid::int8",
    "pg_tablespace": "oid::int8",
    "pg_db_role_setting": "setdatabase::int8 << 32 | setrole::int8",
    "pg_shdescription": "objoid::int8",
}
"""Catalogs that are read whole, being small or the user's only; with what names a row."""

_SPACES: Final = f"ARRAY(SELECT oid FROM pg_namespace WHERE oid < {USER_OID})"

PARTS: Final = (
    # The array of a type changes with it, and has no name of its own in any text.
    (
        "pg_type",
        "oid::int8",
        f"oid >= {USER_OID} AND typrelid = 0 AND typtype NOT IN ('e', 'd') AND typinput <> 'array_in'::regproc",
    ),
    ("pg_range", "rngtypid::int8", f"rngtypid >= {USER_OID}"),
    ("pg_ts_config_map", "mapcfg::int8 << 32 | maptokentype << 8 | mapseqno", f"mapcfg >= {USER_OID}"),
    (
        "pg_description",
        "objoid::int8 << 16 | objsubid",
        f"objoid >= {USER_OID} AND classoid <> 'pg_class'::regclass",
    ),
    ("pg_description", "objoid::int8", f"objoid = ANY({_SPACES}) AND classoid = 'pg_namespace'::regclass"),
    # Extension members.
    (
        "pg_depend",
        "objid::int8 << 32 | refobjid::int8",
        f"refclassid = 'pg_extension'::regclass AND objid >= {USER_OID}",
    ),
)
"""Parts of others: what names a row, and which rows.

Aggregates change with their pg_proc (AggregateCreate in catalog/pg_aggregate.c, RemoveFunctionById).
"""

READABLE: Final = {
    "pg_roles": "rolname::text, oid::int8",
    "pg_user_mappings": "ROW(umid, srvname, usename, umoptions)::text, 0",
    "pg_subscription": "ROW(oid, subname, subowner, subenabled, subpublications, subslotname)::text, 0",
}
"""Catalogs behind which an ordinary user sees no xmin: by content, and a seed."""

SINCE: Final = {"pg_publication_namespace": 150000}

RARE: Final = {
    "pg_class": "relkind = 'c'",
    "pg_type": "typtype = 'd'",
    "pg_trigger": "true",
    "pg_rewrite": "true",
    "pg_policy": "true",
    "pg_statistic_ext": "true",
    "pg_foreign_table": "true",
}
"""Rows of those that are alone without which there are only tables with columns, indexes and constraints, sequences and
enums: views have a rule."""

UNCOMMON: Final = {
    "pg_class": "reloptions IS NOT NULL OR reltablespace <> 0"
    f" OR relkind IN ('r', 'p', 'm') AND relam NOT IN (0, {HEAP})",
    "pg_attribute": "attgenerated <> '' OR attoptions IS NOT NULL OR attfdwoptions IS NOT NULL"
    " OR attstattarget >= 0 AND NOT attisdropped",
    "pg_inherits": "true",
}
"""The same without which no relation has any of what few have: `Kind.common`."""

IN_ALL: Final = frozenset(
    {
        *("pg_database", "pg_db_role_setting", "pg_depend", "pg_description", "pg_extension", "pg_namespace"),
        *("pg_roles", "pg_shdescription", "pg_tablespace"),
    }
)
"""Catalogs of all else that are no sign of anything but a database with its settings, schemas and extensions."""

RARE_THERE: Final = 1
REST_THERE: Final = 2
UNCOMMON_THERE: Final = 4
TYPE_THERE: Final = 8
SEQUENCE_THERE: Final = 16
COMMENT_THERE: Final = 32
ALL_THERE: Final = RARE_THERE | REST_THERE | UNCOMMON_THERE | TYPE_THERE | SEQUENCE_THERE | COMMENT_THERE
"""Bits of a row of the probe: it is of something that is `RARE`, of all else and not `IN_ALL`, `UNCOMMON`, an enum or a
domain, a sequence, a comment of what can hang on a relation or a type."""
NEW: Final = 64
"""Another, for who asks what was written since."""

MOVED: Final = f"""SELECT EXISTS (SELECT FROM pg_class WHERE oid < {USER_OID} AND relnamespace NOT IN
  (SELECT oid FROM pg_namespace WHERE nspname IN ('pg_catalog', 'pg_toast', 'information_schema')))"""
"""Whether relations of Postgres's own are in other schemas, where only a superuser can have moved them: the probe tells
nothing of their kinds."""

_XMIN: Final = "age('3'::xid)::int8 - age(xmin)"
"""xmin as a number, three less: that of a user's row, which no special transaction has written. In four billion
transactions each changes twice: once with the wrap of all, once when it is two billion old."""

MOMENT: Final = 1
"""Stands for an oid where a row says which transactions are seen; nothing that is read has it."""
SUM: Final = 2
"""The same where a row is of all relations, enums and domains of a catalog."""


@cache
def probe_sql(version: int, *, since: bool = False) -> str:
    """A row of each relation, index, enum and domain: its oid, a number, and the bits of its parts; one of oid 0, of
    all else. Equal numbers mean that nothing changed. And one of `MOMENT`.

    With `since`, the bit `NEW`, too, where one of the transactions from `$1` on, an xid, has written a row.
    """
    told = [_digests(catalog, "age(xmin) <= age($1)" if since else None) for catalog in ALONE]
    return f"{rest_sql(version)} UNION ALL {_by_oid(told)} UNION ALL SELECT {MOMENT}, pg_current_snapshot()::text, 0"


@cache
def sums_sql(version: int) -> str:
    """Without a row for each, which is most of the work: of each catalog the sum of the numbers (`SUM`), and in a
    fourth column, as words, the oids of which transactions from `$1` on, an xid, have written rows; and of those oids
    and of `$2`, an array, if they are not more than `NEAR`, the probe's rows: of those that are gone there is none.

    The rows of all else and of `MOMENT` are as in the probe. Rows that are gone have left nothing but another sum.
    """
    sums = [
        f"SELECT {SUM}::oid AS id, sum({_digest(row, number)})::text AS digest, 0 AS there,"
        f" array_to_string(array_agg({oid}) FILTER (WHERE age(xmin) <= (SELECT age($1))), ' ') AS written"
        f" FROM {catalog} WHERE {where}"
        for catalog, (oid, row, number, where) in ALONE.items()
    ]
    return (
        f"WITH sums AS MATERIALIZED ({' UNION ALL '.join(sums)}), near AS MATERIALIZED ("
        f"SELECT CASE WHEN cardinality(oids) <= {NEAR} THEN oids END AS oids FROM (SELECT ARRAY("
        "SELECT unnest(string_to_array(written, ' '))::oid FROM sums UNION SELECT unnest($2::oid[])) AS oids) o)"
        f" SELECT * FROM sums UNION ALL SELECT r.*, '' FROM ({rest_sql(version)}) r"
        f" UNION ALL SELECT n.*, '' FROM ({near_sql()}) n"
        f" UNION ALL SELECT {MOMENT}, pg_current_snapshot()::text, 0, ''"
    )


@cache
def near_sql() -> str:
    """The probe's rows of the oids in `near`, a table of one row with an array of them, or of none."""
    of = {catalog: (f"{oid} = ANY({_NEAR})",) for catalog, (oid, *_) in ALONE.items()} | OF
    # Where a schema was small when this was planned, all rows of a user would be looked through by their oid.
    told = [f"{_digests(catalog)} AND {each}" for catalog in of for each in of[catalog]]
    return _by_oid([each.replace("oid >= ", "oid::int8 >= ") for each in told])


def rest_sql(version: int) -> str:
    """The probe's row of oid 0."""
    rest = [(catalog, "oid::int8", f"oid >= {USER_OID}") for catalog in BY_OID]
    rest += [*PARTS, *((catalog, row, "true") for catalog, row in WHOLE.items())]
    told = [
        f"SELECT hashtextextended(xmin::text, {row}) AS digest, {_there(catalog)} AS there FROM {catalog} WHERE {where}"
        for catalog, row, where in rest
        if SINCE.get(catalog, 0) <= version
    ]
    told += [
        f"SELECT hashtextextended({content}), {_there(catalog)} FROM {catalog}" for catalog, content in READABLE.items()
    ]
    # All hashes mix well, so the sum does not care for order and still misses nothing.
    return (
        f"SELECT 0::oid AS id, sum(digest)::text AS digest, bit_or(there) AS there FROM ({' UNION ALL '.join(told)}) d"
    )


_SIGNS: Final = {
    RARE_THERE: RARE,
    UNCOMMON_THERE: UNCOMMON,
    TYPE_THERE: {"pg_type": "typtype IN ('e', 'd')"},
    SEQUENCE_THERE: {"pg_sequence": "true"},
    COMMENT_THERE: {"pg_description": "true"},
}
"""Of each bit, by catalog: which rows of those that are alone are a sign of it."""


def _there(catalog: str) -> str:
    if catalog == "pg_description":
        others = ", ".join(f"'{other}'::regclass" for other in ("pg_namespace", "pg_extension", "pg_proc"))
        return f"(classoid NOT IN ({others}))::int * {COMMENT_THERE}"
    return str(0 if catalog in IN_ALL else REST_THERE)


def _digests(catalog: str, new: str | None = None) -> str:
    oid, row, number, where = ALONE[catalog]
    bits = [(bit, found[catalog]) for bit, found in _SIGNS.items() if catalog in found] + ([(NEW, new)] if new else [])
    there = " + ".join(f"(({condition}) IS TRUE)::int * {bit}" for bit, condition in bits) or "0"
    return f"SELECT {oid} AS id, {_digest(row, number)} AS digest, {there} AS there FROM {catalog} WHERE {where}"


def _digest(row: str, number: str) -> str:
    # Of a relation's columns there are fewer than 2,048.
    return f"hashoidextended({row}, ({_XMIN}) * 2048 + {number})" if number else f"hashoidextended({row}, {_XMIN})"


def _by_oid(told: Sequence[str]) -> str:
    return f"SELECT id, sum(digest)::text, bit_or(there) FROM ({' UNION ALL '.join(told)}) d GROUP BY 1"
