"""Which rows stood in the way of a statement: told from its text and the rows as they are without it.

The statement failed and was rolled back, and with it all that its transaction did before. So a column that the same
revision had made is not there to be asked, and a value that it had mended is as it was.

The project's own expressions are evaluated. They run in a transaction that may only read, inside a DO block, where
no text can end that transaction, and with the session's settings put back at its end.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import psycopg2
import psycopg2.extensions

from neontest.postgres.connect import Connection
from neontest.postgres.data import Violation
from neontest.postgres.demands import demands
from neontest.postgres.names import literal, quoted, short
from neontest.postgres.questions import Question, fast, questions
from neontest.postgres.reasons import on_rows
from neontest.postgres.relations import Relations, Unknown
from neontest.postgres.tokens import quote
from neontest.stop import Deadline

NAMED: Final = 10
"""Rows that are named by their keys."""
_INPUT_IS_VALID: Final = 160000
"""The server version from which `pg_input_is_valid` is there."""

_COUNT: Final = """
DECLARE answer text;
BEGIN
    EXECUTE {query} INTO answer;
    PERFORM set_config('neontest.answer', answer, true);
END
"""

_TRY: Final = """
#variable_conflict use_column
DECLARE
    "neontest row" record;
    "neontest value" {type};
    "neontest rows" bigint := 0;
    "neontest bad" bigint := 0;
    "neontest keys" jsonb := '[]';
BEGIN
    FOR "neontest row" IN SELECT tableoid AS t, ctid AS c, {keys} AS k FROM {scope} {order} LOOP
        "neontest rows" := "neontest rows" + 1;
        BEGIN
            SELECT ({value}) INTO "neontest value" FROM {scope}
            WHERE {table}.ctid = "neontest row".c AND {table}.tableoid = "neontest row".t AND ({where});
        EXCEPTION WHEN OTHERS THEN
            IF left(SQLSTATE, 2) NOT IN ('22', '23', 'P0') THEN
                RAISE;
            END IF;
            "neontest bad" := "neontest bad" + 1;
            IF "neontest bad" <= {named} THEN
                "neontest keys" := "neontest keys" || jsonb_build_array("neontest row".k);
            END IF;
        END;
    END LOOP;
    PERFORM set_config(
        'neontest.answer', json_build_array("neontest rows", "neontest bad", "neontest keys")::text, true
    );
END
"""
"""Row by row: the server says of no other cast which rows it fails on."""


def violations(
    conn: Connection,
    sql: str,
    *,
    sqlstate: str | None,
    deadline: Deadline,
    search_path: str | None = None,
) -> tuple[Violation, ...]:
    """The rows that a failed statement's new constraints, types or values do not fit: counted, and named by key.

    `sql` is the statement, `sqlstate` what it failed with; None asks for whatever it demands of the rows. `search_path`
    is the migration's; None is what the role or its database gives every session. Empty where rows were not the reason,
    or where nothing certain can be said: an error of the server, a lack of time, a statement that is not understood.
    The connection is in autocommit, idle, and stays so; nothing in its database changes.
    """
    found: list[Violation] = []
    if not on_rows(sqlstate) or conn.closed or not conn.autocommit or conn.info.transaction_status:
        return ()
    for demand in demands(sql):
        with (
            # ValueError: unreadable, or with a character that no database takes.
            suppress(psycopg2.Error, ValueError, Unknown),
            _reading(conn, search_path, deadline) as cursor,
        ):
            known = Relations(cursor)
            # All or nothing of one demand: a part of an answer would read as the whole.
            found += list(_answers(questions(demand, known, sqlstate), known, conn.server_version, cursor))
    return tuple(dict.fromkeys(each for each in found))


@contextmanager
def _reading(conn: Connection, search_path: str | None, deadline: Deadline) -> Iterator[psycopg2.extensions.cursor]:
    """A cursor in a transaction that can only read, and is rolled back."""
    left = int(min(deadline.left(), 86400.0) * 1000)
    if not left:
        raise Unknown("time")  # 0 would be no limit
    with conn.cursor() as cursor:
        cursor.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            cursor.execute(
                "SELECT set_config('search_path', coalesce(%s, reset_val), true),"
                " set_config('statement_timeout', %s, true), set_config('standard_conforming_strings', 'on', true)"
                " FROM pg_catalog.pg_settings WHERE name = 'search_path'",
                (search_path, str(left)),
            )
            yield cursor
        finally:
            with suppress(psycopg2.Error):
                cursor.execute("ROLLBACK")


def _answers(
    asked: Iterator[Question], known: Relations, version: int, cursor: psycopg2.extensions.cursor
) -> Iterator[Violation]:
    for question in asked:
        rows, bad, keys = _answer(question, known, version, cursor)
        if bad or (not question.counted and rows is not None):
            yield Violation(
                kind=question.kind,
                table=question.relation.shown,
                columns=question.columns,
                count=bad if question.counted else 0,
                rows=rows,
                keys=tuple(_key(question.relation.key, values) for values in keys or ()) if question.counted else (),
            )


def _answer(
    question: Question, known: Relations, version: int, cursor: psycopg2.extensions.cursor
) -> tuple[int, int, list[list[str]] | None]:
    """How many rows there are, how many of them are bad, and the keys of some."""
    if question.value is None:
        return _told(cursor, _COUNT.format(query=literal(_query(question))))
    if question.plain and version >= _INPUT_IS_VALID:
        quick = fast(question, known)
        if quick is not None:
            cursor.execute("SAVEPOINT quick")
            try:
                return _told(cursor, _COUNT.format(query=literal(_query(quick))))
            except psycopg2.Error:
                cursor.execute("ROLLBACK TO quick")
    key = [quote(name) for name in question.relation.key]
    return _told(
        cursor,
        _TRY.format(
            type=question.type,
            keys=_texts(key),
            scope=question.scope,
            order=f"ORDER BY {', '.join(key)}" if key else "",
            value=question.value,
            table=quote(question.relation.name),
            where=question.where,
            named=NAMED if key else 0,
        ),
    )


def _query(question: Question) -> str:
    key = [quote(name) for name in question.relation.key]
    first = f"{question.first}, " if question.first else "WITH "
    few = f"(SELECT * FROM bad ORDER BY {', '.join(key)} LIMIT {NAMED}) AS few"  # noqa: S608
    named = f"(SELECT json_agg({_texts(key)}) FROM {few})"  # noqa: S608
    bad = f"SELECT {', '.join(key) or '1'} FROM {question.source} WHERE {question.where}"  # noqa: S608
    return (
        f"{first}bad AS MATERIALIZED ({bad}) SELECT json_build_array("  # noqa: S608
        f"(SELECT count(*) FROM {question.scope}), (SELECT count(*) FROM bad), {named if key else 'NULL'})::text"
    )


def _texts(key: list[str]) -> str:
    return f"json_build_array({', '.join(f'{name}::text' for name in key)})"


def _told(cursor: psycopg2.extensions.cursor, block: str) -> tuple[int, int, list[list[str]] | None]:
    cursor.execute(f"DO {literal(block)}")
    cursor.execute("SELECT current_setting('neontest.answer')")
    row = cursor.fetchone()
    assert row is not None
    rows, bad, keys = json.loads(row[0])
    return rows, bad, keys


def _key(names: tuple[str, ...], values: list[str]) -> str:
    """A row's key, such as `id=17` or `(a=1, b=two)`."""
    told = ", ".join(f"{quoted(name)}={short(value, 60)}" for name, value in zip(names, values, strict=True))
    return f"({told})" if len(names) > 1 else told
