# ruff: noqa: S608 - the SQL is put together from constants only
"""What a snapshot reads of relations and what hangs on them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from neontest.postgres.kind import (
    DISABLED,
    FIRES,
    HEAP,
    Kind,
    acl,
    choice,
    flag,
    qualified,
    quote,
    sorted_list,
    without_secrets,
)

_OPTIONS: Final = sorted_list("c.reloptions")
_RELATION: Final = {
    "owner": "pg_get_userbyid(c.relowner)",
    "tablespace": "CASE WHEN c.reltablespace <> 0 THEN"
    " (SELECT spcname FROM pg_tablespace t WHERE t.oid = c.reltablespace) END",
    "options": _OPTIONS,
}
_TABLE: Final = {
    "unlogged": flag("c.relpersistence = 'u'"),
    "partition key": "CASE c.relkind WHEN 'p' THEN pg_get_partkeydef(c.oid) END",
    "partition bound": "CASE WHEN c.relispartition THEN pg_get_expr(c.relpartbound, c.oid) END",
    "parents": "(SELECT string_agg("
    + qualified("n.nspname", "p.relname")
    + """ || CASE WHEN to_jsonb(h)->>'inhdetachpending' = 'true'
                         THEN ' (detach pending)' ELSE '' END, ', ' ORDER BY h.inhseqno)
       FROM pg_inherits h JOIN pg_class p ON p.oid = h.inhparent
         JOIN pg_namespace n ON n.oid = p.relnamespace WHERE h.inhrelid = c.oid)""",
    "of type": "CASE WHEN c.reloftype <> 0 THEN format_type(c.reloftype, NULL) END",
    "row security": flag("c.relrowsecurity"),
    "forced row security": flag("c.relforcerowsecurity"),
    "replica identity": choice("c.relreplident", n="nothing", f="full", i="index"),
    "access method": "(SELECT amname FROM pg_am m WHERE m.oid = c.relam )",
    "toast options": f"(SELECT {sorted_list('t.reloptions')} FROM pg_class t WHERE t.oid = c.reltoastrelid)",
}
_COMMON: Final = {
    **dict.fromkeys(("tablespace", "options", "parents"), "NULL"),
    "access method": f"CASE c.relam WHEN {HEAP} THEN 'heap' END",
}
_FROM_REL: Final = "rel r JOIN pg_class c ON c.oid = r.oid WHERE r.relkind"


def _relation(name: str, relkinds: str, **facts: str) -> Kind:
    told = {
        **{fact.replace("_", " "): sql for fact, sql in facts.items()},
        **_RELATION,
        **acl("c.relacl", "r", "c.relowner"),
    }
    return Kind(
        name=name, catalog="pg_class", source=f"{_FROM_REL} IN ({relkinds})", oid="c.oid", on="r.space",
        title="c.relname", facts=told, common={fact: sql for fact, sql in _COMMON.items() if fact in told},
    )  # fmt: skip


_VIEW: Final = "pg_get_viewdef(c.oid)"

_OWNED_BY: Final = f"""(SELECT {qualified("n.nspname", "o.relname")} || '.' || {quote("a.attname")}
  FROM pg_depend d JOIN pg_class o ON o.oid = d.refobjid JOIN pg_namespace n ON n.oid = o.relnamespace
  JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass
    AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0)"""

_SEQUENCE: Final = Kind(
    name="sequence",
    catalog="pg_class",
    source="rel r JOIN pg_class c ON c.oid = r.oid JOIN pg_sequence s ON s.seqrelid = c.oid",
    oid="c.oid",
    on="r.space",
    title="c.relname",
    facts={
        "type": "format_type(s.seqtypid, NULL)",
        "start": "s.seqstart",
        "minimum": "s.seqmin",
        "maximum": "s.seqmax",
        "increment": "s.seqincrement",
        "cache": "s.seqcache",
        "cycle": flag("s.seqcycle"),
        "unlogged": flag("c.relpersistence = 'u'"),
        "owned by": _OWNED_BY,
        "owner": "pg_get_userbyid(c.relowner)",
        **acl("c.relacl", "s", "c.relowner"),
    },
)

_DEFAULT: Final = """(SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d
      WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum)"""
_COLUMN_FACTS: Final = {
    "type": "format_type(a.atttypid, a.atttypmod)",
    "collation": "CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::regcollation::text END",
    "not null": flag("a.attnotnull"),
    "default": f"CASE WHEN a.atthasdef AND a.attgenerated = '' THEN {_DEFAULT} END",
    "identity": choice("a.attidentity", a="always", d="by default"),
    "generated": f"""CASE WHEN a.attgenerated <> '' THEN {_DEFAULT}
      || CASE a.attgenerated WHEN 's' THEN ' stored' ELSE ' virtual' END END""",
    "storage": "CASE WHEN a.attstorage <> t.typstorage THEN "
    + choice("a.attstorage", p="plain", e="external", m="main", x="extended")
    + " END",
    "compression": choice("a.attcompression", p="pglz", l="lz4"),
    "statistics target": "nullif(a.attstattarget, -1)",
    "options": sorted_list("a.attoptions"),
    "foreign options": "CASE WHEN a.attfdwoptions IS NOT NULL THEN " + without_secrets("a.attfdwoptions") + " END",
    "inherited": flag("a.attinhcount > 0"),
    "also its own": flag("a.attinhcount > 0 AND a.attislocal"),
    "acl": "a.attacl::text",
    # A dropped column leaves a hole in attnum for ever: the rank among the living is what a person sees.
    "position": "row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum)",
}
_ATTRIBUTE_FACTS: Final = {fact: _COLUMN_FACTS[fact] for fact in ("type", "collation", "position")}
_COLUMN_SOURCE: Final = """rel r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN pg_type t ON t.oid = a.atttypid
  WHERE r.relkind"""


FIRST_COLUMN: Final = "(SELECT a.attname FROM pg_attribute a WHERE a.attrelid = x.conrelid AND a.attnum = x.conkey[1])"
"""SQL for the name of a constraint's first column."""


def _on_relation(
    name: str,
    catalog: str,
    source: str,
    title: str,
    facts: Mapping[str, str],
    oid: str = "x.oid",
    sub: str = "0",
    common: Collection[str] = (),
) -> Kind:
    return Kind(
        name=name, catalog=catalog, source=source, oid=oid, sub=sub, on="r.name", title=title, facts=facts,
        common=dict.fromkeys(common, "NULL"),
    )  # fmt: skip


RELATIONS: Final[tuple[Kind, ...]] = (
    _relation("table", "'r', 'p'", **_TABLE),
    _relation(
        "foreign table",
        "'f'",
        partition_bound=_TABLE["partition bound"],
        parents=_TABLE["parents"],
        server="(SELECT f.srvname FROM pg_foreign_table t JOIN pg_foreign_server f ON f.oid = t.ftserver"
        " WHERE t.ftrelid = c.oid)",
        foreign_options=f"(SELECT {without_secrets('t.ftoptions')} FROM pg_foreign_table t WHERE t.ftrelid = c.oid)",
    ),
    _relation("view", "'v'", definition=_VIEW),
    _relation(
        "materialized view",
        "'m'",
        definition=_VIEW,
        unpopulated=flag("NOT c.relispopulated"),
        access_method=_TABLE["access method"],
        toast_options=_TABLE["toast options"],
    ),
    _SEQUENCE,
    _on_relation(
        "column",
        "pg_class",
        f"{_COLUMN_SOURCE} IN ('r', 'p', 'v', 'm', 'f')",
        "a.attname",
        _COLUMN_FACTS,
        "a.attrelid",
        "a.attnum",
        common=("generated", "options", "foreign options"),
    ),
    _on_relation(
        "attribute", "pg_class", f"{_COLUMN_SOURCE} = 'c'", "a.attname", _ATTRIBUTE_FACTS, "a.attrelid", "a.attnum"
    ),
    _on_relation(
        "constraint",
        "pg_constraint",
        # 't' is the shadow of a constraint trigger, which is read as a trigger.
        "rel r JOIN pg_constraint x ON x.conrelid = r.oid WHERE x.contype <> 't'"
        # A foreign key to a partitioned table is kept once more for each partition.
        " AND NOT (x.contype = 'f' AND x.conparentid <> 0"
        " AND EXISTS (SELECT FROM pg_constraint p WHERE p.oid = x.conparentid AND p.conrelid = x.conrelid))",
        # PostgreSQL 18 names a NOT NULL for its column; after a rename, an equal schema would have another name.
        "CASE WHEN x.contype = 'n' AND x.conname ~ '_not_null[0-9]*$'"
        f" THEN 'not null ' || {FIRST_COLUMN} ELSE x.conname END",
        {
            "definition": "pg_get_constraintdef(x.oid)",
            "inherited": flag("x.coninhcount > 0"),
            "also its own": flag("x.coninhcount > 0 AND x.conislocal"),
        },
    ),
    _on_relation(
        "index",
        "pg_class",
        "rel r JOIN pg_index i ON i.indrelid = r.oid JOIN pg_class x ON x.oid = i.indexrelid",
        "x.relname",
        {
            "definition": "pg_get_indexdef(x.oid)",
            "invalid": flag("NOT i.indisvalid"),
            "not ready": flag("NOT i.indisready"),
            "clustered": flag("i.indisclustered"),
            "replica identity": flag("i.indisreplident"),
            "tablespace": "CASE WHEN x.reltablespace <> 0 THEN"
            " (SELECT spcname FROM pg_tablespace t WHERE t.oid = x.reltablespace) END",
            "attached to": """CASE WHEN x.relispartition THEN (SELECT h.inhparent::regclass::text FROM pg_inherits h
              WHERE h.inhrelid = x.oid) END""",
            "statistics targets": """CASE WHEN i.indexprs IS NOT NULL THEN
              (SELECT string_agg(a.attnum || ': ' || a.attstattarget, ', ' ORDER BY a.attnum) FROM pg_attribute a
               WHERE a.attrelid = x.oid AND a.attnum > 0 AND a.attstattarget >= 0) END""",
        },
        common=("tablespace", "attached to", "statistics targets"),
    ),
    _on_relation(
        "trigger",
        "pg_trigger",
        "rel r JOIN pg_trigger x ON x.tgrelid = r.oid WHERE NOT x.tgisinternal",
        "x.tgname",
        {
            "definition": "pg_get_triggerdef(x.oid)",
            "disabled": DISABLED.format("tgenabled"),
            "fires": FIRES.format("tgenabled"),
            "from the parent": flag("x.tgparentid <> 0"),
        },
    ),
    _on_relation(
        "rule",
        "pg_rewrite",
        "rel r JOIN pg_rewrite x ON x.ev_class = r.oid WHERE x.rulename <> '_RETURN'",
        "x.rulename",
        {
            "definition": "pg_get_ruledef(x.oid)",
            "disabled": DISABLED.format("ev_enabled"),
            "fires": FIRES.format("ev_enabled"),
        },
    ),
    _on_relation(
        "policy",
        "pg_policy",
        "rel r JOIN pg_policy x ON x.polrelid = r.oid",
        "x.polname",
        {
            "command": choice("x.polcmd", r="select", a="insert", w="update", d="delete", **{"*": "all"}),
            "restrictive": flag("NOT x.polpermissive"),
            "roles": """(SELECT string_agg(CASE role WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(role)::text END, ', '
              ORDER BY role = 0, pg_get_userbyid(role)) FROM unnest(x.polroles) role)""",
            "using": "pg_get_expr(x.polqual, x.polrelid)",
            "with check": "pg_get_expr(x.polwithcheck, x.polrelid)",
        },
    ),
    Kind(
        name="statistics",
        catalog="pg_statistic_ext",
        source="rel r JOIN pg_statistic_ext x ON x.stxrelid = r.oid JOIN pg_namespace n ON n.oid = x.stxnamespace",
        oid="x.oid",
        on="r.name",
        title=qualified("n.nspname", "x.stxname"),
        bare=False,
        facts={
            "definition": "pg_get_statisticsobjdef(x.oid)",
            "target": "nullif(x.stxstattarget, -1)",
            "owner": "pg_get_userbyid(x.stxowner)",
        },
    ),
)
