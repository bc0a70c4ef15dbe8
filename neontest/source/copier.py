"""Copies rows from one Postgres to another with COPY; a program of its own, so that a stop ends it at once.

Its one argument is a file with what to do. The target's tables are emptied and filled in one transaction: foreign keys
are checked at its end, and triggers of the user do not fire. It prints `copy: at TEXT` and `copy: error: TEXT`.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 -- the type's own name is that of a variable

SAME = (
    "SET client_encoding = 'UTF8'; SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres'; SET timezone = 'UTC';"
    "SET extra_float_digits = 3; SET row_security = off; SET statement_timeout = 0;"
)
COLUMNS = """
    SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_catalog.pg_attribute
    WHERE attrelid = %s::pg_catalog.regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
"""
KEYS = """
    SELECT conrelid::regclass::text, quote_ident(conname), condeferrable, condeferred FROM pg_catalog.pg_constraint
    WHERE contype = 'f' AND conparentid = 0 AND connamespace::regnamespace::text NOT LIKE 'pg\\_%'
"""
TRIGGERS = """
    SELECT tgrelid::regclass::text, quote_ident(tgname), tgenabled FROM pg_catalog.pg_trigger t
    WHERE NOT tgisinternal AND tgparentid = 0 AND tgenabled IN ('O', 'A')
"""
SEQUENCES = """
    SELECT quote_ident(schemaname) || '.' || quote_ident(sequencename), last_value IS NOT NULL,
        coalesce(last_value, start_value)
    FROM pg_catalog.pg_sequences WHERE schemaname NOT LIKE 'pg\\_%'
"""


def asked(conn: Connection, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    with conn.cursor() as cursor:
        cursor.execute(sql, values or None)
        return cursor.fetchall() if cursor.description else []


def copied(source: Connection, target: Connection, table: str) -> int:
    """Copy one table's rows through a pipe; how many there were."""
    columns = asked(source, COLUMNS, table)[0][0]
    if columns is None:
        return 0
    read, write = os.pipe()
    problems: list[BaseException] = []

    def send() -> None:
        try:
            with os.fdopen(write, "wb") as out, source.cursor() as cursor:
                cursor.copy_expert(f"COPY {table} ({columns}) TO STDOUT", out)
        except BaseException as error:  # noqa: BLE001 -- told by the thread that waits for it
            problems.append(error)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    with os.fdopen(read, "rb") as into, target.cursor() as cursor:
        cursor.copy_expert(f"COPY {table} ({columns}) FROM STDIN", into)
        sender.join()
        if problems:
            raise problems[0]
        return cursor.rowcount


def told(text: str) -> None:
    sys.stdout.write(f"copy: {text}\n")
    sys.stdout.flush()


def work(job: dict[str, Any]) -> None:
    source, target = psycopg2.connect(job["source"]), psycopg2.connect(job["target"])
    source.set_session(isolation_level="REPEATABLE READ", readonly=True)
    asked(source, f"SET TRANSACTION SNAPSHOT '{job['snapshot']}'")
    asked(source, SAME + f"SET lock_timeout = '{job['lock_seconds']}s'")
    asked(target, SAME)
    for table in job["all"]:
        if asked(target, "SELECT to_regclass(%s) IS NULL", table)[0][0]:
            if table in job["tables"]:
                raise LookupError(f"the project's revisions do not make the table {table}")
            job["all"] = [each for each in job["all"] if each != table]
    keys, triggers = asked(target, KEYS), asked(target, TRIGGERS)
    for table, name, *_ in keys:
        asked(target, f"ALTER TABLE {table} ALTER CONSTRAINT {name} DEFERRABLE INITIALLY DEFERRED")
    for table, name, _ in triggers:
        asked(target, f"ALTER TABLE {table} DISABLE TRIGGER {name}")
    if job["all"]:
        asked(target, f"TRUNCATE {', '.join(job['all'])} CASCADE")
    rows = 0
    for number, table in enumerate(job["tables"], 1):
        rows += copied(source, target, table)
        told(f"at {number} of {len(job['tables'])} tables, {rows:,} rows")
    asked(target, "SET CONSTRAINTS ALL IMMEDIATE")
    for table, name, deferrable, deferred in keys:
        how = f"DEFERRABLE INITIALLY {'DEFERRED' if deferred else 'IMMEDIATE'}" if deferrable else "NOT DEFERRABLE"
        asked(target, f"ALTER TABLE {table} ALTER CONSTRAINT {name} {how}")
    for table, name, enabled in triggers:
        asked(target, f"ALTER TABLE {table} ENABLE {'ALWAYS ' if enabled == 'A' else ''}TRIGGER {name}")
    for name, called, value in asked(source, SEQUENCES):
        asked(target, "SELECT setval(to_regclass(%s), %s, %s)", name, value, called)
    target.commit()
    source.rollback()


if __name__ == "__main__":
    try:
        work(json.loads(Path(sys.argv[1]).read_text()))
    except (psycopg2.Error, LookupError) as problem:
        said = problem.diag.message_primary if isinstance(problem, psycopg2.Error) else None  # DETAIL shows rows
        told(f"error: {said or ' '.join(str(problem).splitlines()[:2]).strip() or type(problem).__name__}")
        sys.exit(1)
