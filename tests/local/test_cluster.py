"""Clusters: fresh ones, copies of stopped and of busy ones, and what is left after them: nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from neontest.errors import LocalError
from neontest.local import roles
from neontest.local.binaries import Binaries
from neontest.local.cluster import Cluster, Clusters

Ask = Callable[..., list[tuple[Any, ...]]]
NewId = Callable[[], str]


def shared_memory() -> set[str]:
    """Ids of the System V segments of this machine."""
    done = subprocess.run(["ipcs", "-m"], capture_output=True, text=True, check=True)
    return {words[1] for line in done.stdout.splitlines() if len(words := line.split()) > 4}


def segments(cluster: Cluster) -> set[str]:
    """The names of its WAL files."""
    return {path.name for path in (cluster.data / "pg_wal").iterdir() if len(path.name) == 24}


def test_the_fresh_cluster_is_made_once_and_then_copied(clusters: Clusters, fresh_id: NewId) -> None:
    clusters.delete(clusters.create(fresh_id(), start=False))
    (made,) = [path for path in (clusters.state / "tmpl").iterdir() if path.is_dir()]
    facts = made.stat()
    clusters.delete(clusters.create(fresh_id(), start=False))
    (again,) = [path for path in (clusters.state / "tmpl").iterdir() if path.is_dir()]
    assert os.path.samestat(facts, again.stat())


@pytest.mark.every_postgres
def test_the_owner_is_what_it_is_on_neon_and_no_superuser(parent: Cluster, ask: Ask) -> None:
    attributes = "rolsuper, rolcreatedb, rolcreaterole, rolbypassrls, rolreplication, rolcanlogin"
    assert ask(parent, f"SELECT {attributes} FROM pg_roles WHERE rolname = current_user") == [
        (False, True, True, True, True, True)
    ]
    assert ask(parent, "SELECT pg_has_role('neon_superuser', 'MEMBER'), pg_has_role('pg_read_all_data', 'USAGE')") == [
        (True, True)
    ]
    assert ask(parent, "SELECT rolcanlogin FROM pg_roles WHERE rolname = 'neon_superuser'") == [(False,)]
    assert ask(parent, "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'neondb'") == [
        ("neondb_owner",)
    ]
    ask(parent, "CREATE TABLE public.t (id int); DROP TABLE public.t")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        ask(parent, "COPY (SELECT 1) TO PROGRAM 'cat > /dev/null'")


@pytest.mark.every_postgres
@pytest.mark.parametrize("role", ["pg_execute_server_program", "pg_read_server_files", "pg_write_server_files"])
def test_the_owner_cannot_get_at_the_systems_files_and_programs(parent: Cluster, ask: Ask, role: str) -> None:
    for statement in (
        f"GRANT {role} TO neondb_owner",
        f"GRANT {role} TO neon_superuser",
        f"CREATE ROLE more IN ROLE {role}",
        f"DROP ROLE {role}",
        "ALTER ROLE neondb_owner SUPERUSER",
        "CREATE ROLE more SUPERUSER",
        "GRANT postgres TO neondb_owner",
        f"SET ROLE {role}",
        "SET ROLE postgres",
        "ALTER SYSTEM SET log_statement = 'all'",
        "UPDATE pg_authid SET rolsuper = true",
        "SELECT pg_read_file('PG_VERSION')",
        "COPY (SELECT 1) TO PROGRAM 'cat > /dev/null'",
        "COPY (SELECT 1) TO '/dev/null'",
        "DO $$ BEGIN EXECUTE format('COPY (SELECT 1) TO PROGRAM %L', 'cat > /dev/null'); END $$",
    ):
        with pytest.raises(psycopg2.Error):
            ask(parent, statement)
    assert ask(parent, "SELECT rolname FROM pg_roles WHERE rolsuper AND rolcanlogin") == [("postgres",)]
    ask(parent, "CREATE ROLE helper LOGIN; GRANT pg_read_all_data TO helper; DROP ROLE helper")


@pytest.mark.every_postgres
def test_a_cluster_from_before_this_was_closed_is_closed_at_its_start(
    clusters: Clusters, parent: Cluster, ask: Ask, fresh_id: NewId
) -> None:
    if clusters.binaries.major > roles.OPEN_MAJOR:
        pytest.skip("Postgres itself closed it")
    with contextlib.closing(parent.admin()) as admin, admin.cursor() as cursor:
        cursor.execute("UPDATE pg_authid SET rolsuper = false WHERE rolname = 'pg_execute_server_program'")
    ask(parent, "GRANT pg_execute_server_program TO neondb_owner")
    ask(parent, "COPY (SELECT 1) TO PROGRAM 'cat > /dev/null'")
    for cluster in (clusters.clone(fresh_id(), parent), parent):
        cluster.stop()
        cluster.start()
        with pytest.raises(psycopg2.Error, match="must be superuser"):
            ask(cluster, "COPY (SELECT 1) TO PROGRAM 'cat > /dev/null'")
        with pytest.raises(psycopg2.Error, match="must be superuser"):
            ask(cluster, "GRANT pg_execute_server_program TO neondb_owner")


@pytest.mark.every_postgres
def test_text_sorts_and_times_show_as_on_neon(parent: Cluster, ask: Ask) -> None:
    assert ask(parent, "SHOW timezone") == [("GMT",)]
    assert ask(parent, "SHOW server_encoding") == [("UTF8",)]
    assert ask(parent, "SELECT string_agg(x, '' ORDER BY x) FROM (VALUES ('b'), ('A'), ('a')) v (x)") == [("Aab",)]


@pytest.mark.every_postgres
def test_no_process_reads_for_others(parent: Cluster, ask: Ask) -> None:
    if int(str(ask(parent, "SHOW server_version_num")[0][0])) >= 180000:
        assert ask(parent, "SHOW io_method") == [("sync",)]
    assert ask(parent, "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'io%'") == [(0,)]


def test_over_tcp_everybody_needs_the_password(parent: Cluster, ask: Ask) -> None:
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        ask(parent, "SELECT 1", password="wrong")
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        ask(parent, "SELECT 1", user="postgres", password="postgres")


def test_only_we_can_reach_the_socket(parent: Cluster) -> None:
    assert parent.folder.stat().st_mode & 0o777 == 0o700
    with contextlib.closing(parent.admin()) as admin, admin.cursor() as cursor:
        cursor.execute("SELECT usesuper FROM pg_user WHERE usename = current_user")
        assert cursor.fetchall() == [(True,)]


@pytest.mark.every_postgres
def test_tls_with_channel_binding_works_where_postgres_has_tls(clusters: Clusters, parent: Cluster, ask: Ask) -> None:
    assert clusters.tls == parent.tls == clusters.binaries.tls
    if parent.tls:
        secure = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        assert ask(parent, secure, sslmode="require", channel_binding="require") == [(True,)]
        assert ask(parent, secure, sslmode="disable") == [(False,)]
    else:
        with pytest.raises(psycopg2.OperationalError, match="SSL"):
            ask(parent, "SELECT 1", sslmode="require")


def test_a_copy_of_a_parent_under_write_load_starts_and_agrees_with_itself(
    clusters: Clusters, parent: Cluster, fresh_id: NewId, ask: Ask
) -> None:
    ask(parent, "CREATE TABLE pair (a int, b int); CREATE TABLE log (n int PRIMARY KEY, fill text)")
    ask(parent, "INSERT INTO pair VALUES (0, 0)")
    stop, started, failures = threading.Event(), threading.Event(), []

    def write() -> None:
        number = 0
        try:
            with contextlib.closing(parent.admin("neondb")) as connection, connection.cursor() as cursor:
                while not stop.is_set():
                    number += 1
                    cursor.execute(
                        f"BEGIN; UPDATE pair SET a = a + 1; INSERT INTO log SELECT {number} * 100 + g, repeat('x', 500)"
                        " FROM generate_series(1, 100) g; UPDATE pair SET b = b + 1; COMMIT"
                    )
                    started.set()
        except psycopg2.Error as error:
            failures.append(error)
            started.set()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        assert started.wait(60)
        branches = [clusters.clone(fresh_id(), parent) for _ in range(3)]
    finally:
        stop.set()
        thread.join(60)
    assert failures == []
    seen = 0
    for branch in branches:
        ((a, b),) = ask(branch, "SELECT a, b FROM pair")
        assert a == b >= seen
        assert ask(branch, "SELECT count(*), count(DISTINCT n) FROM log") == [(a * 100, a * 100)]
        seen = a
    with contextlib.closing(parent.admin()) as admin, admin.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_replication_slots")
        assert cursor.fetchall() == [(0,)]


def test_a_copy_of_a_stopped_parent_leaves_it_stopped(
    clusters: Clusters, parent: Cluster, fresh_id: NewId, ask: Ask
) -> None:
    ask(parent, "CREATE TABLE t AS SELECT 42 AS answer")
    ask(parent, "CREATE TABLE much AS SELECT repeat('x', 200) AS x FROM generate_series(1, 20000)")
    parent.stop()
    assert not parent.running
    branch = clusters.clone(fresh_id(), parent, start=False)
    assert len(segments(parent)) > len(segments(branch)) == 1
    branch.start()
    assert ask(branch, "SELECT answer FROM t") == [(42,)]
    assert not parent.running
    assert parent.started_at is None
    parent.start()
    assert ask(parent, "SELECT answer FROM t") == [(42,)]


def test_a_copy_of_a_server_that_was_killed_has_all_its_wal(
    clusters: Clusters, parent: Cluster, fresh_id: NewId, ask: Ask
) -> None:
    ask(parent, "CREATE TABLE t AS SELECT n, repeat('x', 200) AS x FROM generate_series(1, 20000) AS n")
    ask(parent, "SET synchronous_commit = on; UPDATE t SET x = 'y'")
    os.kill(int((parent.data / "postmaster.pid").read_text().splitlines()[0]), signal.SIGKILL)
    parent.stop()
    branch = clusters.clone(fresh_id(), parent, start=False)
    assert segments(branch) == segments(parent)
    branch.start()
    assert ask(branch, "SELECT count(*) FROM t WHERE x = 'y'") == [(20000,)]


def test_a_branch_has_every_database_and_shares_nothing(
    clusters: Clusters, parent: Cluster, fresh_id: NewId, ask: Ask
) -> None:
    with contextlib.closing(parent.admin()) as admin:
        roles.create_role(admin, "second", "secret of the second")
        roles.create_database(admin, "other", "second")
    ask(parent, "CREATE TABLE t AS SELECT 1 AS x", "other", user="second", password="secret of the second")
    branch = clusters.clone(fresh_id(), parent)
    assert branch.port != parent.port
    assert ask(branch, "SELECT x FROM t", "other", user="second", password="secret of the second") == [(1,)]

    ask(branch, "CREATE ROLE from_migration; CREATE TABLE only_here (id int)")
    ask(branch, "ALTER DATABASE neondb SET work_mem = '1MB'")
    assert ask(parent, "SELECT 1 FROM pg_roles WHERE rolname = 'from_migration'") == []
    assert ask(parent, "SELECT to_regclass('only_here')") == [(None,)]
    assert ask(branch, "SHOW work_mem") != ask(parent, "SHOW work_mem")
    grandchild = clusters.clone(fresh_id(), branch)
    ask(grandchild, "DROP ROLE from_migration")
    assert ask(branch, "SELECT 1 FROM pg_roles WHERE rolname = 'from_migration'") == [(1,)]


def test_threads_copy_one_parent_at_once(clusters: Clusters, parent: Cluster, fresh_id: NewId, ask: Ask) -> None:
    ask(parent, "CREATE TABLE t AS SELECT 7 AS x")
    with ThreadPoolExecutor(4) as threads:
        branches = list(threads.map(lambda _: clusters.clone(fresh_id(), parent), range(4)))
        assert len({branch.port for branch in branches}) == 4
        assert [ask(branch, "SELECT x FROM t") for branch in branches] == [[(7,)]] * 4
        list(threads.map(clusters.delete, branches))
    assert parent.running


def test_a_deleted_branch_leaves_nothing(clusters: Clusters, parent: Cluster, fresh_id: NewId, ask: Ask) -> None:
    branch = clusters.clone(fresh_id(), parent)
    lines = (branch.data / "postmaster.pid").read_text().splitlines()
    connection = psycopg2.connect(
        host="127.0.0.1", port=branch.port, dbname="neondb", user="neondb_owner", password="secret of the owner"
    )
    clusters.delete(branch)
    connection.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int(lines[0]), 0)
    assert lines[6].split()[1] not in shared_memory()
    assert not branch.folder.exists()
    assert not (clusters.state / "lock" / branch.id).exists()
    assert not branch.running
    with pytest.raises(LocalError, match="is gone"):
        branch.start()
    clusters.delete(branch)


@pytest.mark.every_postgres
def test_a_parent_with_tablespaces_is_refused(clusters: Clusters, parent: Cluster, fresh_id: NewId) -> None:
    if clusters.binaries.major < 15:
        pytest.skip("no tablespaces in place before 15")
    with contextlib.closing(parent.admin()) as admin, admin.cursor() as cursor:
        cursor.execute("SET allow_in_place_tablespaces = on")
        cursor.execute("CREATE TABLESPACE elsewhere LOCATION ''")
    id = fresh_id()
    with pytest.raises(LocalError, match="has tablespaces"):
        clusters.clone(id, parent)
    assert not (clusters.state / "b" / id).exists()


def test_a_state_folder_with_a_long_name_has_its_sockets_elsewhere(room: Path, binaries: Binaries) -> None:
    with Clusters(room / ("long" * 25), binaries) as clusters:
        cluster = clusters.create("main")
        assert cluster.sockets != cluster.folder
        assert cluster.sockets.stat().st_mode & 0o777 == 0o700
        cluster.admin().close()
    assert not cluster.sockets.exists()


def test_the_port_stays_over_a_stop_and_is_replaced_when_it_is_lost(parent: Cluster, ask: Ask) -> None:
    port = parent.port
    parent.stop()
    parent.start()
    assert parent.port == port
    parent.stop()
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind(("127.0.0.1", port))
        thief.listen()
        parent.start()
        assert parent.port != port
        assert ask(parent, "SELECT 1") == [(1,)]


def test_a_server_that_cannot_start_says_why_and_leaves_nothing(
    clusters: Clusters, parent: Cluster, fresh_id: NewId
) -> None:
    parent.stop()
    (parent.data / "global" / "pg_control").unlink()
    id = fresh_id()
    with pytest.raises(LocalError, match="could not find the database system"):
        clusters.clone(id, parent)
    assert not (clusters.state / "b" / id).exists()
    assert not (clusters.state / "lock" / id).exists()


def test_an_id_is_used_once_and_is_no_path(clusters: Clusters, parent: Cluster) -> None:
    with pytest.raises(LocalError, match="exists"):
        clusters.create(parent.id)
    assert parent.running
    for id in ("../x", "", "a/b", "A", ".new"):
        with pytest.raises(LocalError, match="is no id"):
            clusters.create(id)


def test_no_secret_is_in_a_command_line_the_log_or_the_servers_environment(
    state: Path, binaries: Binaries, fresh_id: NewId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEON_API_KEY", "napi_very_secret")
    with Clusters(state, binaries) as clusters:
        cluster = clusters.create(fresh_id())
        with contextlib.closing(cluster.admin()) as admin:
            roles.set_password(admin, roles.OWNER, "a very secret password")
            roles.create_role(admin, "second", "a very secret password")
            with pytest.raises(psycopg2.errors.DuplicateObject):
                roles.create_role(admin, "second", "a very secret password")
        done = subprocess.run(
            ["ps", "axeww"], capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]}
        )
        assert str(cluster.data) in done.stdout
        mine = [line for line in done.stdout.splitlines() if str(cluster.data) in line]
        assert "very" not in "".join(mine)
        assert "a very secret password" not in done.stdout
        assert "second" in cluster.log_tail()
        assert "very" not in cluster.log_tail(1000)
        if sys.platform == "linux":
            pid = (cluster.data / "postmaster.pid").read_text().splitlines()[0]
            assert b"very_secret" not in Path(f"/proc/{pid}/environ").read_bytes()
        assert "secret" not in repr(cluster)


def test_closing_ends_all_and_later_ones_are_refused(state: Path, binaries: Binaries, fresh_id: NewId) -> None:
    clusters = Clusters(state, binaries)
    made = [clusters.create(fresh_id()), clusters.create(fresh_id(), start=False)]
    clusters.close()
    clusters.close()
    assert not any(cluster.folder.exists() for cluster in made)
    with pytest.raises(LocalError, match="is being stopped"):
        clusters.create(fresh_id())
