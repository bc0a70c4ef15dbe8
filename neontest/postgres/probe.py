# ruff: noqa: S608 - the SQL is put together from constants only
"""The query that says whether any catalog behind a snapshot changed, without reading what is in it.

Every committed change of a catalog row gives it a new xmin or removes it, so a digest over (row, xmin) of all
catalogs that any query here reads, straight or through a deparsing function, answers "nothing changed". It answers
nothing else: after RENAME COLUMN the rows of an index or a view that names it keep their xmin and yet deparse anew.
"""

from __future__ import annotations

from typing import Final

from neontest.postgres.kind import USER_OID

BY_OID: Final = (
    "pg_class",
    "pg_attrdef",
    "pg_constraint",
    "pg_type",
    "pg_enum",
    "pg_proc",
    "pg_trigger",
    "pg_rewrite",
    "pg_policy",
    "pg_statistic_ext",
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
"""Catalogs with a column oid, of which rows below the first user's oid are never told."""

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
    "pg_partitioned_table": "partrelid::int8",
    "pg_inherits": "inhrelid::int8 << 32 | inhseqno",
    "pg_sequence": "seqrelid::int8",
    "pg_foreign_table": "ftrelid::int8",
}
"""Catalogs that are read whole, being small or the user's only; with what names a row."""

PARTS: Final = {
    "pg_attribute": ("attrelid::int8 << 16 | (attnum & 65535)", f"attrelid >= {USER_OID}"),
    "pg_index": ("indexrelid::int8", f"indexrelid >= {USER_OID}"),
    "pg_range": ("rngtypid::int8", f"rngtypid >= {USER_OID}"),
    "pg_aggregate": ("aggfnoid::oid::int8", f"aggfnoid >= {USER_OID}"),
    "pg_ts_config_map": ("mapcfg::int8 << 32 | maptokentype << 8 | mapseqno", f"mapcfg >= {USER_OID}"),
    "pg_description": (
        "objoid::int8 << 16 | objsubid",
        f"objoid >= {USER_OID} OR (classoid = 'pg_namespace'::regclass AND objoid IN (SELECT oid FROM pg_namespace))",
    ),
    "pg_depend": (
        "objid::int8 << 32 | refobjid::int8",
        # Extension members, and the owners of sequences.
        f"(refclassid = 'pg_extension'::regclass OR refobjsubid > 0) AND objid >= {USER_OID}",
    ),
}

READABLE: Final = {
    "pg_roles": "ROW(oid, rolname)",
    "pg_user_mappings": "ROW(umid, srvname, usename, umoptions)",
    "pg_subscription": "ROW(oid, subname, subowner, subenabled, subpublications, subslotname)",
}
"""Catalogs behind which an ordinary user sees no xmin: by content."""

SINCE: Final = {"pg_publication_namespace": 150000}


def probe_sql(version: int) -> str:
    """One row, one number a catalog; equal rows mean that no catalog changed in between."""
    parts = dict.fromkeys(BY_OID, ("oid::int8", f"oid >= {USER_OID}"))
    parts |= PARTS | {catalog: (row, "true") for catalog, row in WHOLE.items()}
    columns = [
        # hashtextextended mixes both well, so the sum does not care for order and still misses nothing.
        f"(SELECT sum(hashtextextended(xmin::text, {row})) FROM {catalog} WHERE {where})"
        for catalog, (row, where) in parts.items()
        if SINCE.get(catalog, 0) <= version
    ]
    columns += [f"(SELECT sum(hashtextextended({row}::text, 0)) FROM {catalog})" for catalog, row in READABLE.items()]
    return "SELECT " + ", ".join(columns)
