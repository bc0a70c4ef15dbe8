"""Roles and databases as Neon makes them: owners that are no superusers.

Neon gives roles that its console, CLI and API make `CREATEDB CREATEROLE BYPASSRLS REPLICATION` and membership in
`neon_superuser` (https://neon.com/docs/manage/roles, 2026-11-22). Attributes are not inherited: each role has its own.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from typing import Final

from psycopg2 import sql
from psycopg2.extensions import connection as Connection  # noqa: N812 (a class)

GROUP: Final = "neon_superuser"
OWNER: Final = "neondb_owner"
DATABASE: Final = "neondb"
ATTRIBUTES: Final = "INHERIT CREATEROLE CREATEDB BYPASSRLS REPLICATION"

ITERATIONS: Final = 4096

OPEN_MAJOR: Final = 15
"""Up to this version, CREATEROLE may grant every role that is no superuser, and so all of the system account's files.

https://www.postgresql.org/docs/15/sql-createrole.html, and /docs/16/release-16.html for the end of it (2026-11-22).
"""
_SYSTEM: Final = "('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files')"
CLOSE: Final = (
    # Only a superuser may grant a superuser; nobody can log in as these, and members do not inherit the attribute.
    f"UPDATE pg_authid SET rolsuper = true WHERE rolname IN {_SYSTEM} AND NOT rolsuper",  # noqa: S608 (constants)
    f"DELETE FROM pg_auth_members WHERE roleid IN (SELECT oid FROM pg_authid WHERE rolname IN {_SYSTEM})",  # noqa: S608
)


def create_role(admin: Connection, name: str, password: str) -> None:
    """Create a role that can log in, as Neon's API does."""
    with admin.cursor() as cursor:
        cursor.execute(
            # As a literal: with arguments beside it, psycopg2 would read a % in a name as a place for one.
            sql.SQL("CREATE ROLE {} LOGIN " + ATTRIBUTES + " IN ROLE {} PASSWORD {}").format(
                sql.Identifier(name), sql.Identifier(GROUP), sql.Literal(verifier(password))
            )
        )


def set_password(admin: Connection, role: str, password: str) -> None:
    """Set a role's password; the server is only told its SCRAM verifier, so no log can hold the password."""
    with admin.cursor() as cursor:
        cursor.execute(
            sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(verifier(password)))
        )


def drop_role(admin: Connection, name: str) -> None:
    """Drop a role; the caller has seen to what it owns."""
    with admin.cursor() as cursor:
        cursor.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def create_database(admin: Connection, name: str, owner: str) -> None:
    """Create a database for an owner, with what the group `neon_superuser` may do in it. `admin` is in autocommit."""
    database = sql.Identifier(name)
    with admin.cursor() as cursor:
        cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, sql.Identifier(owner)))
        cursor.execute(sql.SQL("GRANT ALL ON DATABASE {} TO {}").format(database, sql.Identifier(GROUP)))


def drop_database(admin: Connection, name: str) -> None:
    """Drop a database, and whoever is connected to it."""
    with admin.cursor() as cursor:
        cursor.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def verifier(password: str, *, salt: bytes | None = None) -> str:
    """The SCRAM-SHA-256 verifier of an ASCII password.

    These passwords are long and random, so one iteration would do, and save 5 ms a connection; but pg8000 refuses fewer
    than the 4096 of RFC 7677. Format: https://www.postgresql.org/docs/18/catalog-pg-authid.html and RFC 5803.
    """
    salt = salt or os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    parts = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return f"SCRAM-SHA-256${ITERATIONS}:" + "{}${}:{}".format(*parts)


def template_sql(major: int) -> tuple[tuple[str, str], ...]:
    """What makes a fresh cluster a Neon's: pairs of a database and one statement for it."""
    groups = ["pg_read_all_data", "pg_write_all_data", "pg_monitor"]
    if major >= 16:
        groups.append("pg_create_subscription")
    statements = [
        ("postgres", f"CREATE ROLE {GROUP} NOLOGIN CREATEDB CREATEROLE BYPASSRLS REPLICATION"),
        ("postgres", f"GRANT {', '.join(groups)} TO {GROUP} WITH ADMIN OPTION"),
        ("template1", f"GRANT ALL ON SCHEMA public TO {GROUP}"),
        ("postgres", f"CREATE ROLE {OWNER} LOGIN {ATTRIBUTES} IN ROLE {GROUP}"),
        ("postgres", f"CREATE DATABASE {DATABASE} OWNER {OWNER}"),
        ("postgres", f"GRANT ALL ON DATABASE {DATABASE} TO {GROUP}"),
    ]
    if major <= OPEN_MAJOR:
        statements += [("postgres", statement) for statement in CLOSE]
    return tuple(statements)


def close(admin: Connection) -> None:
    """Close what `OPEN_MAJOR` and older leave open, in a cluster that was made before its template did."""
    with admin.cursor() as cursor:
        for statement in CLOSE:
            cursor.execute(statement)
