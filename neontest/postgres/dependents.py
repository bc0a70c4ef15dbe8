# ruff: noqa: S608 - the SQL is put together from constants only
"""Which relations can read differently once some of them have changed: those that name them, or anything of theirs.

The server keeps that in pg_depend: a view that reads a table, a foreign key to it, a default that calls its sequence.
Deparsed text names what an object depends on, and nothing else that can change its name.
"""

from __future__ import annotations

from typing import Final

_RELATION: Final = {
    "pg_class": "SELECT coalesce((SELECT i.indrelid FROM pg_index i WHERE i.indexrelid = n.objid), n.objid)",
    "pg_attrdef": "SELECT x.adrelid FROM pg_attrdef x WHERE x.oid = n.objid",
    "pg_constraint": "SELECT nullif(x.conrelid, 0) FROM pg_constraint x WHERE x.oid = n.objid",
    "pg_trigger": "SELECT x.tgrelid FROM pg_trigger x WHERE x.oid = n.objid",
    "pg_rewrite": "SELECT x.ev_class FROM pg_rewrite x WHERE x.oid = n.objid",
    "pg_policy": "SELECT x.polrelid FROM pg_policy x WHERE x.oid = n.objid",
    "pg_statistic_ext": "SELECT x.stxrelid FROM pg_statistic_ext x WHERE x.oid = n.objid",
}
"""By the catalog that an object is in, SQL for the relation that it hangs on."""

AFFECTED: Final = f"""
own(classid, objid) AS MATERIALIZED (
  SELECT 'pg_class'::regclass::oid, g.oid FROM unnest($1) g(oid)
  UNION ALL SELECT 'pg_class'::regclass::oid, i.indexrelid FROM unnest($1) g(oid) JOIN pg_index i ON i.indrelid = g.oid
  UNION ALL SELECT 'pg_constraint'::regclass::oid, x.oid FROM unnest($1) g(oid)
    JOIN pg_constraint x ON x.conrelid = g.oid
  UNION ALL SELECT 'pg_type'::regclass::oid, unnest(ARRAY[t.oid, t.typarray]) FROM unnest($1) g(oid)
    JOIN pg_class c ON c.oid = g.oid JOIN pg_type t ON t.oid = c.reltype),
naming(classid, objid) AS MATERIALIZED (
  SELECT d.classid, d.objid FROM own o JOIN pg_depend d ON d.refclassid = o.classid AND d.refobjid = o.objid
  EXCEPT SELECT classid, objid FROM own),
affected(oid) AS MATERIALIZED (
  SELECT g.oid FROM unnest($1) g(oid)
  UNION SELECT CASE n.classid {" ".join(f"WHEN '{name}'::regclass THEN ({sql})" for name, sql in _RELATION.items())} END
    FROM naming n)"""
"""`affected`: the relations of `$1`, their oids, and those that name them; NULL where something else than a relation
does, such as a function."""
