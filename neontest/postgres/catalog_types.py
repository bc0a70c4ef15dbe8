# ruff: noqa: S608 - the SQL is put together from constants only
"""What a snapshot reads of types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from neontest.postgres.kind import Kind, acl, flag, in_schema, owner, quote

_TYPE_RIGHTS: Final = {**owner("typ"), **acl("x.typacl", "T", "x.typowner")}


def _type(name: str, where: str, facts: Mapping[str, str]) -> Kind:
    return in_schema(name, "pg_type", "typ", {**facts, **_TYPE_RIGHTS}, where=where, public="USAGE")


def _alone(name: str, letter: str, facts: Mapping[str, str]) -> Kind:
    """A type that is read without the others where it has changed."""
    return Kind(
        name=name, catalog="pg_type", source=f"typ y JOIN pg_type x ON x.oid = y.oid WHERE y.typtype = '{letter}'",
        oid="y.oid", on="y.space", title="y.typname", facts={**facts, **_TYPE_RIGHTS}, public="USAGE",
    )  # fmt: skip


TYPES: Final = (
    _alone(
        "enum",
        "e",
        {
            "values": "(SELECT string_agg('''' || replace(e.enumlabel, '''', '''''') || '''', ', '"
            " ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = x.oid)"
        },
    ),
    _alone(
        "domain",
        "d",
        {
            "type": "format_type(x.typbasetype, x.typtypmod)",
            "collation": """CASE WHEN x.typcollation <>
              (SELECT b.typcollation FROM pg_type b WHERE b.oid = x.typbasetype)
              THEN x.typcollation::regcollation::text END""",
            "not null": flag("x.typnotnull"),
            "default": "coalesce(pg_get_expr(x.typdefaultbin, 0), x.typdefault)",
        },
    ),
    Kind(
        name="domain constraint",
        catalog="pg_constraint",
        source="typ y JOIN pg_constraint x ON x.contypid = y.oid",
        oid="x.oid",
        on=f"y.space || '.' || {quote('y.typname')}",
        title="x.conname",
        facts={"definition": "pg_get_constraintdef(x.oid)"},
    ),
    Kind(
        name="composite type",
        catalog="pg_type",
        source="rel r JOIN pg_type x ON x.typrelid = r.oid WHERE r.relkind = 'c'",
        oid="x.oid",
        on="r.space",
        title="x.typname",
        facts=_TYPE_RIGHTS,
        public="USAGE",
    ),
    _type(
        "range type",
        "x.typtype = 'r'",
        {
            key: f"(SELECT {value} FROM pg_range g WHERE g.rngtypid = x.oid)"
            for key, value in {
                "subtype": "format_type(g.rngsubtype, NULL)",
                "collation": "nullif(g.rngcollation, 0)::regcollation::text",
                "operator class": "(SELECT o.opcname FROM pg_opclass o WHERE o.oid = g.rngsubopc)",
                "canonical": "nullif(g.rngcanonical, 0)::regprocedure::text",
                "difference": "nullif(g.rngsubdiff, 0)::regprocedure::text",
                "multirange": "format_type(g.rngmultitypid, NULL)",
            }.items()
        },
    ),
    _type(
        "base type",
        # The array type that comes with every type is no object of its own.
        "(x.typtype = 'b' AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = x.oid))"
        " OR (x.typtype = 'p' AND NOT x.typisdefined)",
        {
            "shell": flag("NOT x.typisdefined"),
            **{
                f"{fact} function": f"nullif(x.{column}, 0)::regprocedure::text"
                for fact, column in {
                    "input": "typinput",
                    "output": "typoutput",
                    "receive": "typreceive",
                    "send": "typsend",
                    "modifier input": "typmodin",
                    "modifier output": "typmodout",
                    "analyze": "typanalyze",
                    "subscript": "typsubscript",
                }.items()
            },
            "layout": """CASE WHEN x.typisdefined THEN concat_ws(', ', x.typlen, x.typalign, x.typstorage,
              CASE WHEN x.typbyval THEN 'by value' END, CASE WHEN x.typcollation <> 0 THEN 'collatable' END) END""",
            "category": "concat_ws(' ', x.typcategory, CASE WHEN x.typispreferred THEN 'preferred' END)",
            "element": "CASE WHEN x.typelem <> 0 THEN format_type(x.typelem, NULL) END",
            "delimiter": "x.typdelim",
            "default": "x.typdefault",
        },
    ),
)
