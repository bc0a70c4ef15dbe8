"""Columns masked, by the few of PostgreSQL Anonymizer's functions that plain SQL can stand in for.

There is no extension `anon` here, and what a rule says is never run as it stands: a function is looked up, and its
arguments are a column, a number or a text. What looks random is random, so long texts and e-mail addresses that were
distinct stay distinct.
Names: https://postgresql-anonymizer.readthedocs.io/en/stable/masking_functions/ (2026-11).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import closing
from typing import Final, Literal

import psycopg2
from psycopg2 import sql

from neontest.errors import LocalError
from neontest.local.cluster import Cluster
from neontest.local.moments import now
from neontest.local.problem import Problem
from neontest.local.requests import MaskingRule
from neontest.local.site import Site
from neontest.local.store import Masking

_SALT: Final = "pg_catalog.md5(pg_catalog.random()::text || pg_catalog.clock_timestamp()::text)"
_LETTERS: Final = " || ".join([_SALT] * 4)


def _one_of(*texts: str) -> str:
    listed = ", ".join(f"'{each}'" for each in texts)
    return f"(ARRAY[{listed}])[1 + pg_catalog.floor(pg_catalog.random() * {len(texts)})::int]"


_EMAIL: Final = f"pg_catalog.substr({_SALT}, 1, 12) || '@example.com'"
_FIRST: Final = _one_of("Ada", "Alan", "Barbara", "Dennis", "Edsger", "Frances", "Grace", "Ken", "Radia", "Tony")
_LAST: Final = _one_of("Ashdown", "Birch", "Calder", "Dray", "Elm", "Farrow", "Gale", "Holt", "Ives", "Thorne")
_PLACE: Final = _one_of("Ashford", "Brookfield", "Clearwater", "Dunmore", "Eastvale", "Fairview", "Greenhill")

FUNCTIONS: Final[dict[str, tuple[int, str]]] = {
    "fake_email": (0, _EMAIL),
    "dummy_email": (0, _EMAIL),
    "dummy_safe_email": (0, _EMAIL),
    "dummy_free_email": (0, _EMAIL),
    "fake_first_name": (0, _FIRST),
    "dummy_first_name": (0, _FIRST),
    "fake_last_name": (0, _LAST),
    "dummy_last_name": (0, _LAST),
    "dummy_name": (0, f"{_FIRST} || ' ' || {_LAST}"),
    "fake_company": (0, f"{_LAST} || ' Ltd'"),
    "dummy_company_name": (0, f"{_LAST} || ' Ltd'"),
    "fake_city": (0, _PLACE),
    "dummy_city_name": (0, _PLACE),
    "dummy_uuidv4": (0, "pg_catalog.gen_random_uuid()"),
    "random_string": (1, f"pg_catalog.substr({_LETTERS}, 1, {{0}}::int)"),
    "random_int_between": (
        2,
        "pg_catalog.floor(pg_catalog.random() * ({1}::bigint - {0}::bigint + 1) + {0}::bigint)::bigint",
    ),
    "random_bigint_between": (
        2,
        "pg_catalog.floor(pg_catalog.random() * ({1}::bigint - {0}::bigint + 1) + {0}::bigint)::bigint",
    ),
    "random_date_between": (
        2,
        "{0}::timestamptz + pg_catalog.random() * ({1}::timestamptz - {0}::timestamptz)",
    ),
    "hash": (1, "pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to({0}::text, 'UTF8')), 'hex')"),
    "partial": (4, "pg_catalog.left({0}::text, {1}::int) || {2}::text || pg_catalog.right({0}::text, {3}::int)"),
    "partial_email": (
        1,
        "pg_catalog.regexp_replace({0}::text, '^(.{{0,2}})[^@]*@(.{{0,2}}).*?([^.]*)$', '\\1******@\\2******.\\3')",
    ),
}
"""By the name without its schema: how many arguments, and what stands for it."""
_CALL: Final = re.compile(r"\s*(?:anon\s*\.\s*)?([a-z_0-9]+)\s*\((.*)\)\s*", re.DOTALL)
_ARGUMENT: Final = re.compile(
    r"\s*(?:(?P<number>-?\d{1,18})|'(?P<text>(?:[^']|'')*)'|\"(?P<quoted>(?:[^\"]|\"\")+)\"|(?P<column>[a-z_]\w*))\s*(,|\Z)"
)


def expression(rule: MaskingRule) -> sql.Composable:
    """What the column's values become; Problem where that cannot be done here."""
    if (rule.masking_function is None) == (rule.masking_value is None):
        raise Problem(
            400, f"the masking rule of {_column(rule)} needs a masking_function or a masking_value, one of them"
        )
    if rule.masking_function is None:
        return sql.Literal(_value(rule.masking_value or ""))
    found = _CALL.fullmatch(rule.masking_function)
    count, template = FUNCTIONS.get(found[1] if found else "", (-1, ""))
    arguments = _arguments(found[2]) if found else None
    if arguments is None or len(arguments) != count:
        raise Problem(
            422,
            f"masking_function {rule.masking_function!r} is not available on a local Neon, which has no extension anon,"
            f" only these: {', '.join(sorted(FUNCTIONS))}",
        )
    # A percent sign or a brace of an argument is no place for anything: these are composed, not formatted twice.
    return sql.SQL(template).format(*arguments)


def _arguments(text: str) -> list[sql.Composable] | None:
    found: list[sql.Composable] = []
    at = 0
    while text[at:].strip():
        match = _ARGUMENT.match(text, at)
        if match is None:
            return None
        if match["number"] is not None:
            found.append(sql.Literal(int(match["number"])))
        elif match["text"] is not None:
            found.append(sql.Literal(match["text"].replace("''", "'")))
        else:
            found.append(sql.Identifier(match["column"] or match["quoted"].replace('""', '"')))
        at = match.end()
    return found


def _value(written: str) -> str | None:
    """A constant: NULL, or a text, in quotes or without."""
    if written.strip().upper() == "NULL":
        return None
    quoted = re.fullmatch(r"\s*'((?:[^']|'')*)'\s*", written)
    return quoted[1].replace("''", "'") if quoted else written


def mask(site: Site, masking: Masking, cluster: Cluster, rules: Iterable[MaskingRule]) -> None:
    """Mask the columns; where that fails the state says so, as on Neon, and the branch's operations are through."""
    _noted(site, masking, "anonymizing")
    try:
        _apply(cluster, rules)
    except (LocalError, psycopg2.Error) as error:
        _noted(site, masking, "error", str(error).strip())
    else:
        _noted(site, masking, "anonymized")


def _noted(
    site: Site, masking: Masking, state: Literal["anonymizing", "anonymized", "error"], message: str = ""
) -> None:
    with site.store.lock:
        masking.state, masking.message, masking.updated_at = state, message, now()
        site.store.save()


def _apply(cluster: Cluster, rules: Iterable[MaskingRule]) -> None:
    """Mask the columns of a running cluster, a database in one transaction.

    The statistics, which hold values, are made anew.

    Raises:
        LocalError: which column could not be masked, and why; of that database none is.
    """
    by_database: dict[str, list[MaskingRule]] = {}
    for rule in rules:
        by_database.setdefault(rule.database_name, []).append(rule)
    for database, mine in by_database.items():
        with closing(cluster.admin(database)) as admin:
            admin.autocommit = False
            with admin, admin.cursor() as cursor:
                cursor.execute("SET CONSTRAINTS ALL DEFERRED")
                for rule in mine:
                    try:
                        _mask(cursor, rule)
                    except psycopg2.Error as error:
                        # A refusal of a value shows the row: DETAIL is left out.
                        said = (error.diag.message_primary or str(error)).strip()
                        raise LocalError(f"{_column(rule)} could not be masked: {said}") from None


def _mask(cursor: psycopg2.extensions.cursor, rule: MaskingRule) -> None:
    table = sql.Identifier(rule.schema_name, rule.table_name)
    cursor.execute(
        "SELECT pg_catalog.format_type(atttypid, NULL) FROM pg_catalog.pg_attribute"
        " WHERE attrelid = pg_catalog.to_regclass(%s) AND attname = %s AND attnum > 0 AND NOT attisdropped",
        [table.as_string(cursor), rule.column_name],
    )
    if (found := cursor.fetchone()) is None:
        raise LocalError(f"{_column(rule)} could not be masked: there is no such column")
    cursor.execute(
        sql.SQL("UPDATE {} SET {} = CAST(({})::text AS {})").format(
            table, sql.Identifier(rule.column_name), expression(rule), sql.SQL(found[0])
        )
    )
    cursor.execute(sql.SQL("ANALYZE {}").format(table))


def _column(rule: MaskingRule) -> str:
    return f"{rule.database_name}.{rule.schema_name}.{rule.table_name}.{rule.column_name}"
