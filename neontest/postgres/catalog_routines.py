"""What a snapshot reads of functions, operators and the like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from neontest.postgres.kind import PROCEDURE, Kind, acl, choice, flag, in_schema, owner, quote, sorted_list

_SIGNATURE: Final = f"{quote('x.proname')} || '(' || oidvectortypes(x.proargtypes) || ')'"
_ROUTINE: Final = {
    "arguments": "pg_get_function_arguments(x.oid)",
    "returns": "pg_get_function_result(x.oid)",
    "language": "(SELECT lanname FROM pg_language l WHERE l.oid = x.prolang)",
    "volatility": choice("x.provolatile", i="immutable", s="stable", v="volatile"),
    "parallel": choice("x.proparallel", s="safe", r="restricted", u="unsafe"),
    "strict": flag("x.proisstrict"),
    "security definer": flag("x.prosecdef"),
    "leakproof": flag("x.proleakproof"),
    "cost": "x.procost",
    "rows": "nullif(x.prorows, 0)",
    "support": PROCEDURE.format("prosupport"),
    "configuration": sorted_list("x.proconfig"),
    "transforms": "(SELECT string_agg(format_type(t, NULL), ', ' ORDER BY n)"
    " FROM unnest(x.protrftypes) WITH ORDINALITY u(t, n))",
    "library": "x.probin",
    "body": "coalesce(pg_get_function_sqlbody(x.oid), x.prosrc)",
    **owner("pro"),
    **acl("x.proacl", "f", "x.proowner"),
}
_AGGREGATE: Final = """(SELECT concat_ws(', ', 'kind ' || g.aggkind::text, 'sfunc ' || g.aggtransfn::regprocedure::text,
    'stype ' || format_type(g.aggtranstype, NULL), 'sspace ' || nullif(g.aggtransspace, 0),
    'finalfunc ' || nullif(g.aggfinalfn, 0)::regprocedure::text || ' ' || g.aggfinalextra
      || ' ' || g.aggfinalmodify::text,
    'combinefunc ' || nullif(g.aggcombinefn, 0)::regprocedure::text,
    'serialfunc ' || nullif(g.aggserialfn, 0)::regprocedure::text,
    'deserialfunc ' || nullif(g.aggdeserialfn, 0)::regprocedure::text,
    'msfunc ' || nullif(g.aggmtransfn, 0)::regprocedure::text,
    'minvfunc ' || nullif(g.aggminvtransfn, 0)::regprocedure::text,
    'mfinalfunc ' || nullif(g.aggmfinalfn, 0)::regprocedure::text || ' ' || g.aggmfinalextra
      || ' ' || g.aggmfinalmodify::text,
    'mstype ' || CASE WHEN g.aggmtranstype <> 0 THEN format_type(g.aggmtranstype, NULL) END,
    'sortop ' || nullif(g.aggsortop, 0)::regoperator::text, 'direct arguments ' || nullif(g.aggnumdirectargs, 0),
    'initcond ' || quote_literal(g.agginitval), 'minitcond ' || quote_literal(g.aggminitval))
  FROM pg_aggregate g WHERE g.aggfnoid = x.oid)"""


def _routine(name: str, prokind: str, facts: Mapping[str, str] = _ROUTINE) -> Kind:
    return in_schema(
        name, "pg_proc", "pro", facts, where=f"x.prokind = '{prokind}'", title=_SIGNATURE, public="EXECUTE"
    )  # fmt: skip


ROUTINES: Final = (
    _routine("function", "f"),
    _routine("procedure", "p"),
    _routine("window function", "w"),
    _routine(
        "aggregate", "a",
        {"definition": _AGGREGATE, **{f: sql for f, sql in _ROUTINE.items() if f not in ("language", "body", "cost")}},
    ),
)  # fmt: skip

_FAMILY_MEMBERS: Final = """(SELECT string_agg(m, ', ' ORDER BY m) FROM (
    SELECT 'operator ' || o.amopstrategy || ' ' || o.amopopr::regoperator::text
      || coalesce(' for order by ' || (SELECT f.opfname FROM pg_opfamily f WHERE f.oid = o.amopsortfamily), '')
    FROM pg_amop o WHERE o.amopfamily = x.oid
    UNION ALL
    SELECT 'function ' || p.amprocnum || ' (' || format_type(p.amproclefttype, NULL) || ', '
      || format_type(p.amprocrighttype, NULL) || ') ' || p.amproc::regprocedure::text
    FROM pg_amproc p WHERE p.amprocfamily = x.oid) u(m))"""
_USING: Final = "{} || ' using ' || (SELECT amname FROM pg_am m WHERE m.oid = x.{}method)"

OPERATORS: Final = (
    in_schema(
        "operator",
        "pg_operator",
        "opr",
        {
            "function": PROCEDURE.format("oprcode"),
            "result": "CASE WHEN x.oprresult <> 0 THEN format_type(x.oprresult, NULL) END",
            "commutator": "nullif(x.oprcom, 0)::regoperator::text",
            "negator": "nullif(x.oprnegate, 0)::regoperator::text",
            "restrict": PROCEDURE.format("oprrest"),
            "join": PROCEDURE.format("oprjoin"),
            "hashes": flag("x.oprcanhash"),
            "merges": flag("x.oprcanmerge"),
            **owner("opr"),
        },
        title="x.oprname || '(' || CASE x.oprleft WHEN 0 THEN 'none' ELSE format_type(x.oprleft, NULL) END"
        " || ', ' || format_type(x.oprright, NULL) || ')'",
    ),
    in_schema(
        "operator class",
        "pg_opclass",
        "opc",
        {
            "type": "format_type(x.opcintype, NULL)",
            "default": flag("x.opcdefault"),
            "stored type": "CASE WHEN x.opckeytype <> 0 THEN format_type(x.opckeytype, NULL) END",
            "family": "(SELECT f.opfnamespace::regnamespace::text || '.' || f.opfname FROM pg_opfamily f"
            " WHERE f.oid = x.opcfamily)",
            **owner("opc"),
        },
        title=_USING.format(quote("x.opcname"), "opc"),
    ),
    in_schema(
        "operator family",
        "pg_opfamily",
        "opf",
        {"members": _FAMILY_MEMBERS, **owner("opf")},
        title=_USING.format(quote("x.opfname"), "opf"),
    ),
    in_schema(
        "collation",
        "pg_collation",
        "coll",
        {"definition": "(to_jsonb(x) - '{oid,collname,collnamespace,collowner}'::text[])::text", **owner("coll")},
    ),
    in_schema(
        "conversion",
        "pg_conversion",
        "con",
        {
            "from": "pg_encoding_to_char(x.conforencoding)",
            "to": "pg_encoding_to_char(x.contoencoding)",
            "function": "x.conproc::regprocedure::text",
            "default": flag("x.condefault"),
            **owner("con"),
        },
    ),
    in_schema(
        "text search configuration",
        "pg_ts_config",
        "cfg",
        {
            "parser": "(SELECT p.prsname FROM pg_ts_parser p WHERE p.oid = x.cfgparser)",
            "mappings": """(SELECT string_agg(t.alias || ': ' || m.dictionaries, '; ' ORDER BY t.alias)
              FROM (SELECT maptokentype, string_agg(mapdict::regdictionary::text, ', ' ORDER BY mapseqno)
                      AS dictionaries FROM pg_ts_config_map WHERE mapcfg = x.oid GROUP BY maptokentype) m
              JOIN LATERAL ts_token_type(x.cfgparser) t ON t.tokid = m.maptokentype)""",
            **owner("cfg"),
        },
    ),
    in_schema(
        "text search dictionary",
        "pg_ts_dict",
        "dict",
        {
            "template": "(SELECT t.tmplname FROM pg_ts_template t WHERE t.oid = x.dicttemplate)",
            "options": "x.dictinitoption",
            **owner("dict"),
        },
    ),
    in_schema(
        "text search parser",
        "pg_ts_parser",
        "prs",
        {"functions": "concat_ws(', ', x.prsstart, x.prstoken, x.prsend, x.prsheadline, x.prslextype)"},
    ),
    in_schema(
        "text search template",
        "pg_ts_template",
        "tmpl",
        {"functions": "concat_ws(', ', x.tmplinit, x.tmpllexize)"},
    ),
)
