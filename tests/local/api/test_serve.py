"""`neontest serve` as a process: what it prints, how it ends, and what it keeps."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import psycopg2
import pytest

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 60.0


class Served:
    """A running `neontest serve`, and the lines that it printed on standard output."""

    def __init__(self, state: Path, *arguments: str, env: dict[str, str] | None = None) -> None:
        self.errors = state / "stderr"
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "neontest", "serve", "--port", "0", "--state", str(state), *arguments],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=ROOT,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )
        assert self.process.stdout is not None
        self.lines = [self.process.stdout.readline() for _ in range(3)]
        assert all(self.lines), self.errors.read_text()
        self.exports = dict(line.removeprefix("export ").strip().split("=", 1) for line in self.lines)

    def api(self, api_of: Any) -> Any:
        return api_of(self.exports["NEON_API_HOST"], self.exports["NEON_API_KEY"], self.exports["NEON_PROJECT_ID"])

    def end(self, signum: int) -> int:
        """Send a signal; the exit code, once nothing more came on standard output."""
        self.process.send_signal(signum)
        return self.wait()

    def wait(self) -> int:
        assert self.process.stdout is not None
        rest = self.process.stdout.read()
        self.process.stdout.close()
        code = self.process.wait(PATIENCE)
        assert rest == ""
        return code


Serve = Callable[..., Served]


@pytest.fixture
def serve(own_state: Path) -> Iterator[Serve]:
    """Start `neontest serve` in the test's state folder; whatever still runs at the end is stopped."""
    started: list[Served] = []

    def start(*arguments: str, env: dict[str, str] | None = None) -> Served:
        started.append(Served(own_state, *arguments, env=env))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.end(signal.SIGTERM)


def ask(uri: str, statement: str) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(uri, connect_timeout=10)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []


def failed(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A `neontest serve` that ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "neontest", "serve", "--state", str(state), *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=PATIENCE,
        check=False,
    )


def servers(state: Path) -> list[str]:
    """The command lines of processes that work in the state folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if str(state) in line and "pytest" not in line:
            found.append(line)
    return found


def wait_until_none(state: Path) -> None:
    end = time.monotonic() + PATIENCE
    while left := servers(state):
        assert time.monotonic() < end, left
        time.sleep(0.01)


def test_three_lines_can_be_sourced_and_the_rest_is_talk(serve: Serve, own_state: Path, api_of: Any) -> None:
    served = serve()
    shell = "".join(served.lines) + 'printf "%s|%s|%s" "$NEON_API_HOST" "$NEON_API_KEY" "$NEON_PROJECT_ID"'
    sourced = subprocess.run(["/bin/sh", "-c", shell], capture_output=True, text=True, check=True).stdout.split("|")
    assert sourced == [served.exports[name] for name in ("NEON_API_HOST", "NEON_API_KEY", "NEON_PROJECT_ID")]
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/api/v2", sourced[0])
    assert served.api(api_of).main()["name"] == "main"
    talk = served.errors.read_text()
    assert "neonctl" in talk
    assert str(own_state) in talk
    assert "Postgres" in talk
    assert sourced[1] not in talk
    assert served.end(signal.SIGINT) == 0


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_cleanly_and_the_data_stays(
    serve: Serve, own_state: Path, api_of: Any, signum: signal.Signals
) -> None:
    served = serve()
    api = served.api(api_of)
    main = api.main()["id"]
    ask(api.uri(main), "SELECT 1")
    assert served.end(signum) == 0
    assert servers(own_state) == []
    assert (own_state / "kept" / main / "data" / "PG_VERSION").is_file()
    assert not (own_state / "kept" / main / "data" / "postmaster.pid").exists()
    assert "Traceback" not in served.errors.read_text()


def test_a_restart_keeps_branches_passwords_key_and_addresses(serve: Serve, api_of: Any) -> None:
    first = serve()
    api = first.api(api_of)
    made = api.create("kept")
    uri = made["connection_uris"][0]["connection_uri"]
    ask(uri, "CREATE TABLE t AS SELECT 1 AS n")
    assert first.end(signal.SIGTERM) == 0
    second = serve()
    assert second.exports["NEON_API_KEY"] == first.exports["NEON_API_KEY"]
    assert second.exports["NEON_PROJECT_ID"] == first.exports["NEON_PROJECT_ID"]
    api = second.api(api_of)
    assert {each["name"] for each in api.get("P/branches")["branches"]} == {"main", "kept"}
    assert ask(uri, "SELECT n FROM t") == [(1,)]
    assert api.uri(made["branch"]["id"]) == uri


def test_after_kill_9_the_servers_are_gone_and_it_serves_again(serve: Serve, own_state: Path, api_of: Any) -> None:
    first = serve()
    api = first.api(api_of)
    uri = api.create("survivor")["connection_uris"][0]["connection_uri"]
    ask(uri, "CREATE TABLE t AS SELECT 1 AS n")
    first.process.kill()
    assert first.wait() == -signal.SIGKILL
    wait_until_none(own_state)
    second = serve()
    assert ask(uri, "SELECT n FROM t") == [(1,)]
    assert {each["name"] for each in second.api(api_of).get("P/branches")["branches"]} == {"main", "survivor"}


def test_after_kill_9_in_the_middle_of_a_creation_nothing_half_made_is_left(
    serve: Serve, own_state: Path, api_of: Any
) -> None:
    first = serve()
    api = first.api(api_of)
    api.create("whole")
    for _ in range(3):
        with contextlib.suppress(httpx.ReadTimeout):
            api.http.post(f"/projects/{api.project_id}/branches", timeout=httpx.Timeout(PATIENCE, read=0.01))
    first.process.kill()
    first.wait()
    wait_until_none(own_state)
    second = serve()
    api = second.api(api_of)
    branches = api.get("P/branches")["branches"]
    assert {"main", "whole"} <= {each["name"] for each in branches}
    assert {each["current_state"] for each in branches} == {"ready"}
    assert {each.name for each in own_state.glob("kept/*")} == {each["id"] for each in branches}
    assert list(own_state.glob("new/*")) == []
    for each in branches:
        if not each["default"]:
            api.delete(each["id"])


def test_a_second_one_on_the_same_state_is_refused_in_a_sentence(serve: Serve, own_state: Path) -> None:
    serve()
    done = failed(own_state, "--port", "0")
    assert done.returncode == 2
    assert done.stdout == ""
    assert f"another neontest serves the state {own_state}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_a_sentence_and_exit_2(own_state: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = failed(own_state, "--port", str(port))
    assert done.returncode == 2
    assert done.stderr.startswith(f"Error: cannot listen on 127.0.0.1:{port}: Address already in use\n")
    assert done.stdout == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="root only")
def test_a_state_that_is_not_ours_is_a_sentence_and_exit_2(own_state: Path) -> None:
    os.chown(own_state, 65534, 65534)
    done = failed(own_state, "--port", "0")
    assert done.returncode == 2
    assert done.stderr.startswith(f"Error: the state folder {own_state} belongs to another user\n")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
def test_a_state_that_is_closed_to_us_is_a_sentence_and_exit_2(own_state: Path) -> None:
    (own_state / "closed").mkdir(mode=0)
    done = failed(own_state / "closed" / "state", "--port", "0")
    (own_state / "closed").chmod(0o700)
    assert done.returncode == 2
    assert done.stderr.startswith(f"Error: the state folder {own_state}/closed/state cannot be read: Permission")


def test_only_loopback_unless_told_otherwise_and_then_with_a_warning(serve: Serve, api_of: Any) -> None:
    served = serve("--host", "0.0.0.0")
    assert served.exports["NEON_API_HOST"].startswith("http://127.0.0.1:")
    assert served.api(api_of).main()
    assert "warning: --host 0.0.0.0" in served.errors.read_text()


def test_a_postgres_can_be_chosen_and_the_kept_version_is_chosen_again(
    serve: Serve, own_state: Path, api_of: Any, engine_binaries: Any
) -> None:
    first = serve("--postgres", str(engine_binaries.bindir))
    assert first.api(api_of).get("P")["project"]["pg_version"] == engine_binaries.major
    assert first.end(signal.SIGINT) == 0
    second = serve()
    assert second.api(api_of).get("P")["project"]["pg_version"] == engine_binaries.major
    assert second.end(signal.SIGINT) == 0
    done = failed(own_state, "--postgres-version", "13")
    assert done.returncode == 3
    assert "no Postgres 13 on this machine" in done.stderr


def test_the_limit_of_branches_can_be_set(serve: Serve, api_of: Any) -> None:
    api = serve("--branches-limit", "2").api(api_of)
    api.create()
    assert api.call("POST", "P/branches", status=422)["code"] == "BRANCHES_LIMIT_EXCEEDED"


def test_a_client_that_connects_at_once_is_served(serve: Serve, api_of: Any) -> None:
    api = serve().api(api_of)
    for _ in range(3):
        made = api.create(wait=False)
        assert made["branch"]["current_state"] == "init"
        assert ask(made["connection_uris"][0]["connection_uri"], "SELECT 1") == [(1,)]


def test_psql_connects_with_the_string_that_it_is_given(serve: Serve, api_of: Any, tls_binaries: Any) -> None:
    psql = shutil.which("psql") or str(tls_binaries.bindir / "psql")
    api = serve("--postgres", str(tls_binaries.bindir)).api(api_of)
    uri = api.create("psql")["connection_uris"][0]["connection_uri"]
    assert uri.endswith("sslmode=require&channel_binding=require")
    done = subprocess.run(
        [psql, uri, "-XAtc", "SELECT current_user, ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "neondb_owner|t\n", done.stderr


def test_a_wheel_without_tls_says_so(serve: Serve, engine_binaries: Any, api_of: Any) -> None:
    if engine_binaries.tls:
        pytest.skip("this Postgres has TLS")
    served = serve("--postgres", str(engine_binaries.bindir))
    assert "has no TLS" in served.errors.read_text()
    api = served.api(api_of)
    assert api.uri(api.main()["id"]).endswith("?sslmode=disable")
