"""A copy without its rows: what Neon calls schema-only.

The tables that an extension brought keep their rows, as a dump of the schema leaves that to CREATE EXTENSION.
What else tells of rows goes with them: materialized views, large objects, the places of sequences, and the planner's
statistics, which hold values.
"""

from __future__ import annotations

from contextlib import closing
from typing import Final

import psycopg2
from psycopg2 import sql

from neontest.errors import LocalError
from neontest.local.cluster import Cluster

_RELATIONS: Final = """
    SELECT c.relkind, n.nspname, c.relname
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'm', 'S') AND c.relpersistence <> 't' AND c.oid >= 16384
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass
                      AND d.objid = c.oid AND d.deptype = 'e')
    ORDER BY c.oid
"""
_REST: Final = (
    "SELECT pg_catalog.lo_unlink(oid) FROM pg_catalog.pg_largeobject_metadata",
    "DELETE FROM pg_catalog.pg_statistic WHERE starelid >= 16384",
    "DELETE FROM pg_catalog.pg_statistic_ext_data",
)


def databases(cluster: Cluster) -> tuple[str, ...]:
    """All that can be connected to, templates apart."""
    with closing(cluster.admin()) as admin, admin.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_catalog.pg_database WHERE datallowconn AND NOT datistemplate")
        return tuple(name for (name,) in cursor.fetchall())


def empty(cluster: Cluster) -> None:
    """Take every row out of every database of a running cluster."""
    for database in databases(cluster):
        try:
            with closing(cluster.admin(database)) as admin:
                admin.autocommit = False
                with admin, admin.cursor() as cursor:
                    _empty(cursor)
        except psycopg2.Error as error:
            raise LocalError(f"database {database} could not be emptied: {str(error).strip()}") from error


def _empty(cursor: psycopg2.extensions.cursor) -> None:
    cursor.execute("SET LOCAL session_replication_role = replica")  # no trigger is to see the rows go
    cursor.execute(_RELATIONS)
    found = cursor.fetchall()
    named = {
        kind: [sql.Identifier(schema, name) for one, schema, name in found if one in kinds]
        for kind, kinds in (("tables", "rp"), ("views", "m"), ("sequences", "S"))
    }
    if named["tables"]:
        cursor.execute(sql.SQL("TRUNCATE {}").format(sql.SQL(", ").join(named["tables"])))
    for view in named["views"]:
        cursor.execute(sql.SQL("REFRESH MATERIALIZED VIEW {} WITH NO DATA").format(view))
    for sequence in named["sequences"]:
        cursor.execute(sql.SQL("ALTER SEQUENCE {} RESTART").format(sequence))
    for statement in _REST:
        cursor.execute(statement)
