# ruff: noqa: S608 - the SQL is put together from constants only
"""The query that says whether any catalog behind a snapshot changed, without reading what is in it.

Every committed change of a catalog row gives it a new xmin or removes it, so a digest over (row, xmin) of all
catalogs that any query here reads, straight or through a deparsing function, answers "nothing changed". It answers
nothing else: after RENAME COLUMN the rows of an index or a view that names it keep their xmin and yet deparse anew.
"""

from __future__ import annotations

from typing import Final

from neontest.postgres.kind import USER_OID

OF_RELATIONS: Final = {
    "pg_class": ("oid", "oid", "true"),
    "pg_attribute": ("attrelid", "attrelid::int8 << 16 | (attnum & 65535)", "true"),
    "pg_attrdef": ("adrelid", "oid", "true"),
    "pg_constraint": ("conrelid", "oid", "true"),
    "pg_index": ("indrelid", "indexrelid", "true"),
    "pg_type": ("typrelid", "oid", "true"),
    "pg_trigger": ("tgrelid", "oid", "true"),
    "pg_rewrite": ("ev_class", "oid", "true"),
    "pg_policy": ("polrelid", "oid", "true"),
    "pg_statistic_ext": ("stxrelid", "oid", "true"),
    "pg_sequence": ("seqrelid", "seqrelid", "true"),
    "pg_inherits": ("inhrelid", "inhrelid::int8 << 32 | inhseqno", "true"),
    "pg_partitioned_table": ("partrelid", "partrelid", "true"),
    "pg_foreign_table": ("ftrelid", "ftrelid", "true"),
    "pg_description": ("objoid", "objoid::int8 << 16 | objsubid", "classoid = 'pg_class'::regclass"),
    # The owners of sequences.
    "pg_depend": (
        "objid",
        "objid::int8 << 32 | refobjid::int8",
        "classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass AND refobjsubid > 0",
    ),
}
"""Catalogs of relations and of what hangs on them: the relation's oid, what names a row, and which rows."""

BY_OID: Final = (
    "pg_enum",
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

PARTS: Final = {
    "pg_constraint": ("oid::int8", "conrelid = 0"),
    "pg_type": (
        "oid::int8",
        # The array of a relation's type has no name of its own in any text.
        f"oid >= {USER_OID} AND typrelid = 0 AND oid NOT IN (SELECT typarray FROM pg_type WHERE typrelid <> 0)",
    ),
    "pg_range": ("rngtypid::int8", f"rngtypid >= {USER_OID}"),
    "pg_aggregate": ("aggfnoid::oid::int8", f"aggfnoid >= {USER_OID}"),
    "pg_ts_config_map": ("mapcfg::int8 << 32 | maptokentype << 8 | mapseqno", f"mapcfg >= {USER_OID}"),
    "pg_description": (
        "objoid::int8 << 16 | objsubid",
        f"""classoid <> 'pg_class'::regclass AND (objoid >= {USER_OID}
          OR (classoid = 'pg_namespace'::regclass AND objoid IN (SELECT oid FROM pg_namespace)))""",
    ),
    # Extension members.
    "pg_depend": (
        "objid::int8 << 32 | refobjid::int8",
        f"refclassid = 'pg_extension'::regclass AND objid >= {USER_OID}",
    ),
}

READABLE: Final = {
    "pg_roles": "ROW(oid, rolname)",
    "pg_user_mappings": "ROW(umid, srvname, usename, umoptions)",
    "pg_subscription": "ROW(oid, subname, subowner, subenabled, subpublications, subslotname)",
}
"""Catalogs behind which an ordinary user sees no xmin: by content."""

SINCE: Final = {"pg_publication_namespace": 150000}

_TABLES: Final = f"""SELECT i.indexrelid AS id, coalesce(t.oid, i.indrelid) AS of
  FROM pg_index i LEFT JOIN pg_class t ON t.reltoastrelid = i.indrelid WHERE i.indexrelid >= {USER_OID}
  UNION ALL SELECT reltoastrelid, oid FROM pg_class WHERE reltoastrelid >= {USER_OID}"""
"""Which table an index or a toast table is part of."""


def probe_sql(version: int) -> str:
    """A row a relation, its oid and a number; and one of oid 0, of all else. Equal ones mean that nothing changed."""
    parts = dict.fromkeys(BY_OID, ("oid::int8", f"oid >= {USER_OID}"))
    parts |= PARTS | {catalog: (row, "true") for catalog, row in WHOLE.items()}
    # hashtextextended mixes both well, so the sum does not care for order and still misses nothing.
    digest = "hashtextextended(xmin::text, {})".format
    rest = [
        f"(SELECT sum({digest(row)}) FROM {catalog} WHERE {where})"
        for catalog, (row, where) in parts.items()
        if SINCE.get(catalog, 0) <= version
    ]
    rest += [f"(SELECT sum(hashtextextended({row}::text, 0)) FROM {catalog})" for catalog, row in READABLE.items()]
    relations = [
        f"SELECT {oid} AS id, {digest(f'({row})::int8')} AS digest FROM {catalog} WHERE {oid} >= {USER_OID} AND {where}"
        for catalog, (oid, row, where) in OF_RELATIONS.items()
    ]
    return (
        f"SELECT 0::oid, ARRAY[{', '.join(rest)}]::text UNION ALL"
        f" SELECT coalesce(p.of, d.id), sum(d.digest)::text FROM ({' UNION ALL '.join(relations)}) d"
        f" LEFT JOIN ({_TABLES}) p ON p.id = d.id GROUP BY 1"
    )
