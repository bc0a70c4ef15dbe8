"""A change as a migration makes it that is traced, and what the trace then knows of it."""

from __future__ import annotations

import psycopg2.errors
import psycopg2.extensions

from neontest.postgres.counted import Known
from neontest.postgres.probe import ALONE

LOOK = """
SELECT pg_current_xact_id_if_assigned()::text, ARRAY(SELECT relation::int8 FROM pg_locks
  WHERE pid = pg_backend_pid() AND locktype = 'relation' AND relation >= 16384),
  (SELECT ARRAY[sum(pg_stat_get_xact_tuples_inserted(c) + pg_stat_get_xact_tuples_updated(c)),
      sum(pg_stat_get_xact_tuples_deleted(c))]::int8[] FROM unnest(%s::regclass[]) c), pg_stat_force_next_flush()::text
"""


def told(cursor: psycopg2.extensions.cursor, sql: str, unseen: str = "") -> Known:
    """Run it in a transaction of its own, `unseen` after the trace has looked; nobody looks where it can be in none."""
    try:
        cursor.execute(f"BEGIN; {sql}")
    except psycopg2.errors.ActiveSqlTransaction:
        cursor.execute("ROLLBACK")
        cursor.execute(sql)
        return Known()
    known = Known()
    if cursor.connection.server_version >= 150_000:
        cursor.execute(LOOK, ([*ALONE],))
        (xid, oids, counts, _), *_ = cursor.fetchall()
        known = Known([int(xid)] if xid else [], oids, *counts)
    cursor.execute(f"{unseen}; COMMIT")
    return known
