# ruff: noqa: S608 - the SQL is put together from constants only
"""What can read differently once some relations, enums or domains have changed: those that name them, or anything of
theirs.

The server keeps that in pg_depend: a view that reads a table, a foreign key to it, a default that calls its sequence.
Deparsed text names what an object depends on, and nothing else that can change its name; but for two: a constant of a
domain or a row type shows values of the types in it, and the bound of a partition what its parent is divided by. Of
the names in a constant that is an array of regclass, and the like, it knows nothing, and so do we.
"""

from __future__ import annotations

from typing import Final

_HANGS_ON: Final = {
    "pg_class": "SELECT coalesce((SELECT i.indrelid FROM pg_index i WHERE i.indexrelid = n.objid), n.objid)",
    "pg_attrdef": "SELECT x.adrelid FROM pg_attrdef x WHERE x.oid = n.objid",
    "pg_constraint": "SELECT coalesce(nullif(x.conrelid, 0), x.contypid) FROM pg_constraint x WHERE x.oid = n.objid",
    "pg_trigger": "SELECT x.tgrelid FROM pg_trigger x WHERE x.oid = n.objid",
    "pg_rewrite": "SELECT x.ev_class FROM pg_rewrite x WHERE x.oid = n.objid",
    "pg_policy": "SELECT x.polrelid FROM pg_policy x WHERE x.oid = n.objid",
    "pg_statistic_ext": "SELECT x.stxrelid FROM pg_statistic_ext x WHERE x.oid = n.objid",
    "pg_type": "SELECT CASE WHEN x.typtype IN ('e', 'd') THEN x.oid ELSE nullif(x.typrelid, 0) END"
    " FROM pg_type x WHERE x.oid = n.objid",
}
"""By the catalog that an object is in, SQL for the relation or the type that it hangs on, or is."""

GIVEN: Final = """
given(oid) AS MATERIALIZED (
  SELECT coalesce((SELECT i.indrelid FROM pg_index i WHERE i.indexrelid = g.oid), g.oid) FROM picked g
  UNION SELECT g.oid FROM picked g)"""
"""`given`: the oids of `picked`, and of its indexes the relations, too."""

IN_QUERIES: Final = """EXISTS (SELECT FROM pg_depend d
  WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = g.oid
    AND d.classid IN ('pg_rewrite'::regclass, 'pg_proc'::regclass, 'pg_policy'::regclass) OFFSET 0)"""
"""SQL: a column more or less of relation `g` can show in a query, whose JOIN … USING then needs aliases. With OFFSET
the server does not read all of pg_depend into a table of its own."""
IN_VALUES: Final = """EXISTS (SELECT FROM pg_class c JOIN pg_type t ON t.oid = c.reltype
    JOIN pg_depend d ON d.refclassid = 'pg_type'::regclass AND d.refobjid IN (t.oid, t.typarray)
    WHERE c.oid = g.oid AND d.deptype <> 'i' OFFSET 0)"""
"""The same in a constant of the row type."""

AFFECTED: Final = f"""
holding(oid, typarray) AS (
  SELECT t.oid, t.typarray FROM given g JOIN pg_type t ON t.oid = g.oid AND t.typtype IN ('e', 'd')
  UNION SELECT t.oid, t.typarray FROM given g JOIN pg_class c ON c.oid = g.oid JOIN pg_type t ON t.oid = c.reltype
  UNION SELECT w.oid, w.typarray FROM holding h
    JOIN pg_depend d ON d.refclassid = 'pg_type'::regclass AND d.refobjid = ANY (ARRAY[h.oid, h.typarray])
    CROSS JOIN LATERAL (
      SELECT t.oid, t.typarray FROM pg_type t
        WHERE d.classid = 'pg_type'::regclass AND t.oid = d.objid AND t.typtype = 'd'
      UNION ALL SELECT t.oid, t.typarray FROM pg_class c JOIN pg_type t ON t.oid = c.reltype
        WHERE d.classid = 'pg_class'::regclass AND c.oid = d.objid) w),
own(classid, objid) AS MATERIALIZED (
  SELECT 'pg_class'::regclass::oid, g.oid FROM given g
  UNION ALL SELECT 'pg_class'::regclass::oid, i.indexrelid FROM given g JOIN pg_index i ON i.indrelid = g.oid
  UNION ALL SELECT 'pg_constraint'::regclass::oid, x.oid FROM given g JOIN pg_constraint x ON x.conrelid = g.oid
  UNION ALL SELECT 'pg_type'::regclass::oid, unnest(ARRAY[h.oid, h.typarray]) FROM holding h
  UNION ALL SELECT 'pg_constraint'::regclass::oid, x.oid FROM given g JOIN pg_constraint x ON x.contypid = g.oid),
naming(classid, objid) AS MATERIALIZED (
  SELECT d.classid, d.objid FROM own o JOIN pg_depend d ON d.refclassid = o.classid AND d.refobjid = o.objid
  EXCEPT SELECT classid, objid FROM own),
affected(oid) AS MATERIALIZED (
  SELECT g.oid FROM given g
  UNION SELECT CASE n.classid {" ".join(f"WHEN '{name}'::regclass THEN ({sql})" for name, sql in _HANGS_ON.items())} END
    FROM naming n
  UNION SELECT t.oid FROM holding h
    CROSS JOIN LATERAL (SELECT x.oid FROM pg_type x WHERE x.oid = h.oid AND x.typtype = 'd' OFFSET 0) t
  UNION SELECT i.inhrelid FROM naming n JOIN pg_inherits i ON i.inhparent = n.objid
    WHERE n.classid = 'pg_class'::regclass)"""
"""`affected`: what is `given`, and those that name it; NULL where something else does, such as a function. `holding`:
the types whose values hold those of the types among them. With OFFSET no other domain is looked at."""
