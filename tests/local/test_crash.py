"""Owners that die, in every way: nothing of them stays."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from neontest.errors import LocalError
from neontest.local.binaries import Binaries
from neontest.local.claim import claim
from neontest.local.cluster import Clusters
from neontest.local.remains import works_in
from neontest.local.setup import prepare
from neontest.local.sweep import sweep
from tests.chaos.left import processes, segments_made_by

NewId = Callable[[], str]
Owners = Callable[..., Any]

ONE_BRANCH = """
clusters = Clusters(state, find(bindir=bindir, environ={}))
cluster = clusters.create(id)
report(cluster)
sys.stdin.read()
"""


def parent_of(pid: int) -> int:
    done = subprocess.run(["ps", "-o", "ppid=", "-p", str(pid)], capture_output=True, text=True, check=True)
    return int(done.stdout)


def wait_until_cleared(state: Path, id: str) -> None:
    """Both the owner and the guard have let go of the branch."""
    claim(state / "lock" / id, patience=60).release(forget=True)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def assert_nothing_is_left(state: Path, report: dict[str, Any]) -> None:
    until(lambda: not works_in(report["postmaster"], state / "b" / report["id"] / "data"))
    assert not (state / "b" / report["id"]).exists()
    assert not Path(report["sockets"]).exists()
    segments = subprocess.run(["ipcs", "-m"], capture_output=True, text=True, check=True).stdout
    assert report["shm"] not in [line.split()[1] for line in segments.splitlines() if len(line.split()) > 4]


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_an_owner_that_dies_leaves_nothing(state: Path, owners: Owners, fresh_id: NewId, signum: int) -> None:
    owner = owners(ONE_BRANCH, fresh_id())
    assert (state / "b" / owner.report["id"]).exists()
    os.killpg(owner.process.pid, signum)
    owner.process.wait(60)
    wait_until_cleared(state, owner.report["id"])
    assert_nothing_is_left(state, owner.report)


def test_when_the_guard_was_killed_too_the_next_sweep_clears(
    clusters: Clusters, owners: Owners, fresh_id: NewId
) -> None:
    owner = owners(ONE_BRANCH, fresh_id())
    os.kill(parent_of(owner.report["postmaster"]), signal.SIGKILL)
    owner.process.kill()
    owner.process.wait(60)
    assert works_in(owner.report["postmaster"], clusters.state / "b" / owner.report["id"] / "data")
    until(lambda: clusters.sweep() == [owner.report["id"]])  # once the guard is quite dead
    assert_nothing_is_left(clusters.state, owner.report)


def test_when_all_were_killed_the_next_sweep_clears(clusters: Clusters, owners: Owners, fresh_id: NewId) -> None:
    owner = owners(ONE_BRANCH, fresh_id())
    guard = parent_of(owner.report["postmaster"])
    for pid in (guard, owner.report["postmaster"], owner.process.pid):
        os.kill(pid, signal.SIGKILL)
    owner.process.wait(60)
    until(lambda: clusters.sweep() == [owner.report["id"]])
    assert_nothing_is_left(clusters.state, owner.report)
    assert clusters.sweep() == []


def test_when_the_postmaster_was_killed_its_owner_can_still_clear(clusters: Clusters, fresh_id: NewId) -> None:
    cluster = clusters.create(fresh_id())
    pid = int((cluster.data / "postmaster.pid").read_text().splitlines()[0])
    os.kill(pid, signal.SIGKILL)
    until(lambda: not cluster.running)
    with pytest.raises(LocalError, match="does not answer"):
        cluster.admin()
    cluster.start()
    cluster.admin().close()
    clusters.delete(cluster)
    assert not cluster.folder.exists()


def test_when_the_guard_was_killed_its_owner_can_still_clear(clusters: Clusters, fresh_id: NewId) -> None:
    cluster = clusters.create(fresh_id())
    pid = int((cluster.data / "postmaster.pid").read_text().splitlines()[0])
    os.kill(parent_of(pid), signal.SIGKILL)
    assert cluster.running
    clusters.delete(cluster)
    assert not works_in(pid, cluster.data)
    assert not cluster.folder.exists()


def test_a_living_branch_is_never_swept(clusters: Clusters, owners: Owners, fresh_id: NewId) -> None:
    owner = owners(ONE_BRANCH, fresh_id())
    mine = clusters.create(fresh_id())
    stopped = clusters.create(fresh_id(), start=False)
    assert clusters.sweep() == []
    mine.admin().close()
    assert stopped.folder.exists()
    assert works_in(owner.report["postmaster"], clusters.state / "b" / owner.report["id"] / "data")
    assert owner.end() == 0
    wait_until_cleared(clusters.state, owner.report["id"])
    assert_nothing_is_left(clusters.state, owner.report)


WITH_CHILDREN = """
clusters = Clusters(state, find(bindir=bindir, environ={}))
cluster = clusters.create(id)
read, write = os.pipe()
ready, begun = os.pipe()
forked = os.fork()
if forked == 0:
    os.setsid()
    clusters.close()
    os.close(write)
    os.write(begun, b"!")
    os.read(read, 1)
    os._exit(0)
os.read(ready, 1)  # stopped any earlier, it has not even let go of what a fork inherits
other = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE, close_fds=False)
report(cluster, forked=forked, other=other.pid, running=cluster.running)
sys.stdin.read()
"""


def test_children_of_a_dead_owner_keep_nothing_alive(state: Path, owners: Owners, fresh_id: NewId) -> None:
    owner = owners(WITH_CHILDREN, fresh_id())
    assert owner.report["running"]
    children = [owner.report["forked"], owner.report["other"]]
    for pid in children:
        os.kill(pid, signal.SIGSTOP)
    try:
        owner.process.kill()
        owner.process.wait(60)
        wait_until_cleared(state, owner.report["id"])
        assert_nothing_is_left(state, owner.report)
        for pid in children:
            os.kill(pid, 0)
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)


PERSISTENT = """
clusters = Clusters(state, find(bindir=bindir, environ={}), persistent=True)
cluster = clusters.create(id) if len(sys.argv) < 5 else clusters.open(id)
cluster.start()
with cluster.admin("neondb") as admin, admin.cursor() as cursor:
    cursor.execute("CREATE TABLE t AS SELECT 5 AS x")
admin.close()
report(cluster)
sys.stdin.read()
"""


def test_a_kept_state_survives_the_death_of_its_owner_and_its_servers_do_not(
    state: Path, binaries: Binaries, clusters: Clusters, owners: Owners, fresh_id: NewId
) -> None:
    owner = owners(PERSISTENT, fresh_id())
    id, folder = owner.report["id"], state / "kept" / owner.report["id"]
    with Clusters(state, binaries, persistent=True) as later:
        owner.process.kill()
        owner.process.wait(60)
        claim(state / "lock" / id, patience=60).release(forget=False)
        assert not works_in(owner.report["postmaster"], folder / "data")
        assert clusters.sweep() == []
        cluster = later.open(id)
        assert not cluster.running
        assert cluster.port == owner.report["port"]
        cluster.start()
        with contextlib.closing(cluster.admin("neondb")) as admin, admin.cursor() as cursor:
            cursor.execute("SELECT x FROM t")
            assert cursor.fetchall() == [(5,)]
    assert folder.exists()
    assert not cluster.running
    with Clusters(state, binaries, persistent=True) as again:
        again.delete(again.open(id))
    assert not folder.exists()


def test_a_kept_server_without_its_guard_is_stopped_by_the_sweep(
    state: Path, binaries: Binaries, clusters: Clusters, owners: Owners, fresh_id: NewId
) -> None:
    owner = owners(PERSISTENT, fresh_id())
    os.kill(parent_of(owner.report["postmaster"]), signal.SIGKILL)
    owner.process.kill()
    owner.process.wait(60)
    data = state / "kept" / owner.report["id"] / "data"
    until(lambda: clusters.sweep() == [] and not works_in(owner.report["postmaster"], data))
    (state / "lock" / owner.report["id"]).unlink()
    assert clusters.sweep() == []
    assert data.exists()
    with pytest.raises(LocalError, match="there is no local branch"):
        clusters.open(owner.report["id"])
    with pytest.raises(LocalError, match="exists"):
        clusters.create(owner.report["id"])
    with Clusters(state, binaries, persistent=True) as later:
        later.delete(later.open(owner.report["id"]))
    assert not data.exists()


def test_a_branch_that_is_not_there_cannot_be_opened(clusters: Clusters) -> None:
    with pytest.raises(LocalError, match="there is no local branch br-none"):
        clusters.open("br-none")
    assert clusters.sweep() == []


@pytest.mark.parametrize("missing", ["b", "kept", "lock", "new"])
def test_a_state_folder_that_lacks_a_part_can_be_swept(room: Path, binaries: Binaries, missing: str) -> None:
    state = prepare(room / "state", binaries, persistent=False).state
    (state / "new" / "br-left").mkdir()
    shutil.rmtree(state / missing)
    assert sweep(state) == []
    assert missing in ("new", "lock") or list((state / "new").iterdir()) == []


DETACHED = """
from datetime import UTC, datetime
clusters = Clusters(state, find(bindir=bindir, environ={}))
cluster = clusters.create(id)
report(cluster)
clusters.detach(cluster, datetime.fromisoformat(sys.argv[4]))
clusters.close()
"""


def test_a_branch_left_on_purpose_runs_until_its_time(clusters: Clusters, owners: Owners, fresh_id: NewId) -> None:
    expires_at = datetime.now(UTC) + timedelta(hours=1)
    owner = owners(DETACHED, fresh_id(), expires_at.isoformat())
    assert owner.end() == 0
    assert clusters.sweep() == []
    psycopg2.connect(host=owner.report["sockets"], port=owner.report["port"], user="postgres", dbname="neondb").close()
    assert clusters.sweep(expires_at + timedelta(seconds=1)) == [owner.report["id"]]
    assert_nothing_is_left(clusters.state, owner.report)


MANY = """
with Clusters(state, find(bindir=bindir, environ={})) as clusters:
    print("ready", flush=True)
    parent = clusters.create(id)
    for number in range(9):
        clusters.delete(clusters.clone(f"{id}-{number}", parent))
"""


def test_owners_killed_at_any_moment_leave_nothing_after_a_sweep(
    clusters: Clusters, owners: Owners, fresh_id: NewId
) -> None:
    for step in range(6):
        id = fresh_id()
        process = owners(MANY, id, report=False)
        assert process.stdout.readline() == "ready\n"
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.03 + 0.07 * step)
        process.kill()
        process.wait(60)

        def swept(id: str = id) -> bool:
            clusters.sweep()
            return not any(
                path.name.startswith(id) for name in ("b", "new", "lock") for path in (clusters.state / name).iterdir()
            )

        until(swept)
        done = subprocess.run(["ps", "axww"], capture_output=True, text=True, check=True)
        assert f"/b/{id}" not in done.stdout


def kill_all_that_name(path: Path) -> set[int]:
    """Kill, at one moment, whatever has the path in its command or its environment; their pids."""
    killed = set()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.fsencode(path) in (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes():
                os.kill(int(entry.name), signal.SIGKILL)
                killed.add(int(entry.name))
    return killed


needs_proc = pytest.mark.skipif(not Path("/proc/sysvipc/shm").exists(), reason="Linux only")


@pytest.mark.every_postgres
@needs_proc
def test_what_was_killed_while_the_fresh_cluster_was_made_leaves_nothing_after_a_sweep(
    room: Path, owners: Owners, fresh_id: NewId
) -> None:
    """Initdb's own servers have shared memory too; killed at whatever moment they have it."""
    state = room / "new"
    process = owners(MANY, fresh_id(), state=state, report=False)
    assert process.stdout.readline() == "ready\n"
    until(lambda: any((fresh / "postmaster.pid").exists() for fresh in (state / "tmpl").glob("*.new")))
    killed = kill_all_that_name(state)
    assert process.pid in killed
    process.wait(60)
    until(lambda: sweep(state) == [] and not kill_all_that_name(state))
    assert segments_made_by(killed) == []
    assert not any((state / "tmpl").glob("*.new"))


@needs_proc
@pytest.mark.parametrize("file", ["postmaster.pid", "PG_VERSION"])
def test_an_owner_that_is_stopped_while_the_fresh_cluster_is_made_leaves_nothing(
    room: Path, owners: Owners, fresh_id: NewId, file: str
) -> None:
    """Initdb's own server outlives it, with its shared memory."""
    state = room / "new"
    process = owners(MANY, fresh_id(), state=state, report=False)
    assert process.stdout.readline() == "ready\n"
    until(lambda: any((fresh / file).exists() for fresh in (state / "tmpl").glob("*.new")))
    seen = processes(f"{state}/")
    process.send_signal(signal.SIGINT)
    process.wait(60)
    assert segments_made_by(seen) == []
    assert not processes(f"{state}/tmpl")
    assert not any((state / "tmpl").glob("*.new"))


@needs_proc
def test_a_builder_that_outlives_its_owner_is_ended_before_another_one_begins(
    room: Path, owners: Owners, fresh_id: NewId
) -> None:
    state = room / "new"
    process = owners(MANY, fresh_id(), state=state, report=False)
    assert process.stdout.readline() == "ready\n"
    until(lambda: any((fresh / "PG_VERSION").exists() for fresh in (state / "tmpl").glob("*.new")))
    process.kill()
    process.wait(60)
    owner = owners(ONE_BRANCH, fresh_id(), state=state)
    assert owner.end() == 0
    wait_until_cleared(state, owner.report["id"])
    assert not any((state / "tmpl").glob("*.new"))


@pytest.mark.every_postgres
@needs_proc
def test_the_segment_of_a_server_killed_before_its_pid_file_named_it_is_found(
    clusters: Clusters, owners: Owners, fresh_id: NewId
) -> None:
    owner = owners(ONE_BRANCH, fresh_id())
    guard = parent_of(owner.report["postmaster"])
    for pid in (guard, owner.report["postmaster"], owner.process.pid):
        os.kill(pid, signal.SIGKILL)
    owner.process.wait(60)
    pid_file = clusters.state / "b" / owner.report["id"] / "data" / "postmaster.pid"
    pid_file.write_text("".join(pid_file.read_text().splitlines(keepends=True)[:6]))
    until(lambda: clusters.sweep() == [owner.report["id"]])
    assert_nothing_is_left(clusters.state, owner.report)


FROM_NOTHING = """
with Clusters(state, find(bindir=bindir, environ={})) as clusters:
    clusters.sweep()
    parent = clusters.create(id)
    report(clusters.clone(f"{id}-copy", parent))
    sys.stdin.read()
"""


def test_owners_that_begin_at_once_in_a_new_state_share_it(
    room: Path, binaries: Binaries, owners: Owners, fresh_id: NewId
) -> None:
    processes = [owners(FROM_NOTHING, fresh_id(), state=room / "new", report=False) for _ in range(3)]
    reports = [json.loads(process.stdout.readline()) for process in processes]
    assert len({report["port"] for report in reports}) == 3
    for process in processes:
        process.stdin.close()
        assert process.wait(60) == 0
    assert [list((room / "new" / name).iterdir()) for name in ("b", "new", "lock")] == [[], [], []]
    assert len([path for path in (room / "new" / "tmpl").iterdir() if path.is_dir()]) == 1
