# ruff: noqa: S608 - the SQL is put together from constants only
"""How one kind of object is read from the catalogs, and the words that such SQL is made of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

USER_OID: Final = 16384
"""The first oid that a user's object can have; what initdb makes lies below."""
HEAP: Final = 2
"""The oid of the access method of tables, unless they say another (pg_am.dat)."""


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """How the objects of one kind are read."""

    name: str
    catalog: str
    """The catalog whose oids `oid` gives; comments find their object by it."""
    source: str
    """The FROM clause with its WHERE, over the CTEs of `PRELUDE`."""
    oid: str
    sub: str = "0"
    on: str
    """SQL for `Key.on`, quoted where needed."""
    title: str
    """SQL for `Key.name`."""
    bare: bool = True
    """`title` is one identifier, still to be quoted."""
    facts: Mapping[str, str]
    """Name → SQL expression. "acl" and "acl default" become a fact a grantee."""
    common: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Those that look elsewhere for what few have → SQL where nothing has that."""
    public: str = ""
    """What PUBLIC may do where the ACL is NULL."""
    older: Mapping[int, Mapping[str, str]] = msgspec.field(default_factory=dict)
    """Version → expressions that a server before it needs instead."""
    since: int = 0

    @property
    def of(self) -> str:
        """SQL for the oid of the relation or type that it hangs on, or is; 0 for what is of none."""
        found = re.match("rel (r) |typ (y) ", self.source)
        return f"{found.group(1) or found.group(2)}.oid" if found else "0"


def quote(name: str) -> str:
    """SQL that quotes an identifier where its characters need it, as `names.quoted` does."""
    return (
        f"CASE WHEN {name} ~ '^[a-z_][a-z0-9_$]*$' THEN {name} ELSE '\"' || replace({name}, '\"', '\"\"') || '\"' END"
    )


def qualified(space: str, name: str) -> str:
    """SQL for a name with its schema, each quoted where needed."""
    return f"{quote(space)} || '.' || {quote(name)}"


def flag(condition: str) -> str:
    return f"CASE WHEN {condition} THEN 'yes' END"


def choice(value: str, **names: str) -> str:
    """SQL that gives a one-letter code its word, and NULL for any other."""
    cases = " ".join(f"WHEN '{code}' THEN '{word}'" for code, word in names.items())
    return f"CASE {value}::text {cases} END"


def acl(column: str, letter: str, owner: str) -> dict[str, str]:
    return {
        "acl": f"{column}::text",
        "acl default": f"CASE WHEN {column} IS NOT NULL THEN acldefault('{letter}', {owner})::text END",
    }


def without_secrets(array: str) -> str:
    """SQL for the options of something foreign, sorted; values of those that may be secrets never leave the server."""
    return (
        "(SELECT string_agg(CASE WHEN o ~* '^[^=]*(pass|secret|token|key|cert|credential)[^=]*='"
        f" THEN split_part(o, '=', 1) || '=***' ELSE o END, ', ' ORDER BY o) FROM unnest({array}) o)"
    )


def sorted_list(array: str) -> str:
    return f"CASE WHEN {array} IS NOT NULL THEN (SELECT string_agg(o, ', ' ORDER BY o) FROM unnest({array}) o) END"


def own(oid: str, catalog: str) -> str:
    """SQL that keeps what initdb did not make and no extension owns."""
    return f"{oid} >= {USER_OID} AND {oid} NOT IN (SELECT objid FROM member WHERE classid = '{catalog}'::regclass)"


_WITH_RANGES: Final = """
  UNION ALL
  SELECT classid, objid FROM pg_depend WHERE refclassid = 'pg_type'::regclass AND deptype = 'i'
    AND classid IN ('pg_proc'::regclass, 'pg_cast'::regclass)"""


def prelude(which: str = "") -> str:
    """What belongs to extensions, or comes with every range type; people's schemas; their relations, without Alembic's
    version tables, and their enums and domains, as far as the condition on an oid holds.

    Columns are counted, as for a NOT EXISTS the server would read all there are into a table of its own.
    """
    with_ranges = "" if which else _WITH_RANGES  # functions and casts, of which no relation is one
    which = which or "{} IS NOT NULL"
    return f"""
member AS MATERIALIZED (
  SELECT classid, objid FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'{with_ranges}),
space AS MATERIALIZED (
  SELECT oid, nspname, {quote("nspname")} AS name FROM pg_namespace
  WHERE NOT starts_with(nspname::text, 'pg_')
    AND nspname NOT IN ('information_schema', 'neon', 'neon_migration', 'neon_control_plane')),
rel AS MATERIALIZED (
  SELECT c.oid, c.relkind, s.name AS space, s.name || '.' || {quote("c.relname")} AS name
  FROM pg_class c JOIN space s ON s.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c', 'S') AND c.relpersistence <> 't' AND {which.format("c.oid")}
    AND c.oid NOT IN (SELECT objid FROM member WHERE classid = 'pg_class'::regclass)
    AND NOT (c.relkind IN ('r', 'p')
      AND EXISTS (SELECT FROM pg_attribute a
                  WHERE a.attrelid = c.oid AND a.attname = 'version_num' AND NOT a.attisdropped)
      AND (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) = 1)),
typ AS MATERIALIZED (
  SELECT x.oid, x.typtype, x.typname, s.name AS space FROM pg_type x JOIN space s ON s.oid = x.typnamespace
  WHERE x.typtype IN ('e', 'd') AND {which.format("x.oid")} AND {own("x.oid", "pg_type")})
"""


PRELUDE: Final = prelude()

DISABLED: Final = "CASE WHEN x.{} = 'D' THEN 'yes' END"
FIRES: Final = "CASE x.{} WHEN 'R' THEN 'on replicas' WHEN 'A' THEN 'always' END"
PROCEDURE: Final = "nullif(x.{}, 0)::regprocedure::text"


def in_schema(
    name: str,
    catalog: str,
    prefix: str,
    facts: Mapping[str, str],
    *,
    where: str = "true",
    title: str | None = None,
    public: str = "",
    older: Mapping[int, Mapping[str, str]] | None = None,
) -> Kind:
    """A kind whose objects live in a schema; the catalog's columns are `prefix` + name, namespace, owner."""
    return Kind(
        name=name,
        catalog=catalog,
        source=f"{catalog} x JOIN space s ON s.oid = x.{prefix}namespace WHERE ({where}) AND {own('x.oid', catalog)}",
        oid="x.oid",
        on="s.name",
        title=title or f"x.{prefix}name",
        bare=title is None,
        facts=facts,
        public=public,
        older=older or {},
    )


def in_database(
    name: str, catalog: str, title: str, facts: Mapping[str, str], *, bare: bool = True, public: str = ""
) -> Kind:
    return Kind(
        name=name,
        catalog=catalog,
        source=f"{catalog} x WHERE {own('x.oid', catalog)}",
        oid="x.oid",
        on="''",
        title=title,
        bare=bare,
        facts=facts,
        public=public,
    )


def owner(prefix: str) -> dict[str, str]:
    return {"owner": f"pg_get_userbyid(x.{prefix}owner)"}
