"""What eugene asks after each statement, on the migration's own connection: what a trace by its questions costs.

From the description of its trace (commit 7f8b343): the timeout, the locks, the files of the relations that it follows,
all columns, all constraints, all relations that can be locked. eugene itself runs files of SQL, not Alembic.
"""

from __future__ import annotations

from tests.migrate.conftest import Files

SWITCH = "BENCH_ASK"
"""In the environment: the project's env.py imports the module."""
MODULE = '''
from sqlalchemy import event
from sqlalchemy.engine import Engine

OURS = "n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"
QUESTIONS = [
    "SELECT current_setting('lock_timeout')",
    f"""SELECT c.oid, n.nspname, c.relname, c.relkind, l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE l.pid = pg_backend_pid() AND l.granted AND {OURS}""",
    f"""SELECT c.oid, c.relfilenode FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE {OURS}""",
    f"""SELECT a.attrelid, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE {OURS} AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped""",
    f"""SELECT x.oid, x.conname, x.contype, x.convalidated, x.conrelid, pg_get_constraintdef(x.oid)
        FROM pg_constraint x JOIN pg_namespace n ON n.oid = x.connamespace WHERE {OURS}""",
    f"""SELECT c.oid, n.nspname, c.relname, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE {OURS} AND c.relkind IN ('r', 'p', 'i', 'I', 'S', 'v', 'm', 'f', 't')""",
]

@event.listens_for(Engine, "after_cursor_execute")
def ask(connection, *_):
    cursor = connection.connection.dbapi_connection.cursor()
    for question in QUESTIONS:
        cursor.execute(question)
        cursor.fetchall()
    cursor.close()
'''


def put(files: Files) -> dict[str, str]:
    """Let the project have it; the environment in which it asks."""
    files.write("asking.py", MODULE)
    return {SWITCH: "1"}
