"""As whom servers run, and where."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from neontest.local.account import NAMESPACE, SETPRIV, Account, choose, default_state
from neontest.local.binaries import Binaries

ROOT = Path(__file__).resolve().parents[2]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="root only")


def test_root_keeps_its_state_where_the_servers_account_can_reach_it() -> None:
    assert default_state({"HOME": "/root"}, 0) == Path("/var/tmp/neontest-0")


def test_a_user_keeps_the_state_in_the_cache() -> None:
    assert default_state({"HOME": "/home/ann"}, 1000) == Path("/home/ann/.cache/neontest/local")
    assert default_state({"HOME": "/home/ann", "XDG_CACHE_HOME": "/cache"}, 1000) == Path("/cache/neontest/local")
    assert default_state({"HOME": "/home/ann", "XDG_CACHE_HOME": "odd"}, 1000) == Path(
        "/home/ann/.cache/neontest/local"
    )


def test_root_becomes_an_ordinary_user_and_others_stay_themselves() -> None:
    account = choose()
    if os.geteuid() == 0:
        assert account.switch or account.prefix == NAMESPACE
        able = msgspec.structs.replace(account, become=(SETPRIV, f"--reuid={account.uid}")).can("true")
        assert bool(account.become) is (account.switch and able)
    else:
        assert account == Account(uid=os.geteuid(), gid=os.getegid(), switch=False)


@as_root
@pytest.mark.parametrize("there", [True, False])
def test_what_root_runs_as_the_account_is_no_more_than_that(there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not there:  # as on systems without util-linux
        monkeypatch.setattr(Account, "can", lambda account, *command: not account.become)
    account = choose()
    if not account.switch or bool(account.become) is not there:
        pytest.skip("root cannot become another user here, or there is no setpriv")
    told = ("Uid", "Gid", "Groups", "CapEff", "CapPrm")
    status = subprocess.run(
        account.words("cat", "/proc/self/status"), capture_output=True, text=True, check=True, **account.how()
    ).stdout
    found = {name: value.split() for name, _, value in (line.partition(":") for line in status.splitlines())}
    uid, gid = str(account.uid), str(account.gid)
    assert [found[name] for name in told] == [[uid] * 4, [gid] * 4, [], ["0" * 16], ["0" * 16]]


AS_ROOT_WITHOUT_SETUID = """
import sys
from pathlib import Path
from neontest.local.binaries import find
from neontest.local.cluster import Clusters
with Clusters(Path(sys.argv[2]), find(bindir=Path(sys.argv[1]), environ={})) as clusters:
    parent = clusters.create("main")
    branch = clusters.clone("branch", parent)
    with branch.admin("neondb") as admin, admin.cursor() as cursor:
        cursor.execute("SELECT current_user")
        print(clusters._setup.account.prefix[0], cursor.fetchone()[0])
    admin.close()
"""


@as_root
def test_root_that_cannot_become_another_user_uses_a_user_namespace(room: Path, binaries: Binaries) -> None:
    setpriv = shutil.which("setpriv")
    bare = [setpriv or "", "--bounding-set", "-setuid,-setgid", "--inh-caps", "-setuid,-setgid"]
    if setpriv is None or subprocess.run([*bare, *NAMESPACE, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no setpriv, or no user namespaces here")
    command = [*bare, sys.executable, "-c", AS_ROOT_WITHOUT_SETUID, str(binaries.bindir), str(room / "state")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=120)
    assert done.stdout.split() == ["unshare", "postgres"], done.stderr
    assert list((room / "state" / "b").iterdir()) == []


AS_ORDINARY_USER = """
import os, sys
from pathlib import Path
import neontest.local.cluster, neontest.local.roles
from neontest.local.binaries import find
bindir, state, uid, gid = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
os.setgroups([]), os.setgid(gid), os.setuid(uid)
with neontest.local.cluster.Clusters(state, find(bindir=bindir, environ={})) as clusters:
    assert clusters.sweep() == []
    parent = clusters.create("main")
    branch = clusters.clone("branch", parent)
    parent.stop()
    other = clusters.clone("other", parent)
    for cluster in (branch, other):
        admin = cluster.admin("neondb")
        neontest.local.roles.create_role(admin, "somebody", "a password")
        admin.close()
    clusters.delete(other)
    print("done", os.getuid(), (branch.data / "PG_VERSION").stat().st_uid)
"""


@as_root
def test_an_ordinary_user_needs_no_more(room: Path, binaries: Binaries) -> None:
    """Modules are imported as root, for the interpreter may lie where nobody else can read."""
    import pwd

    from neontest.local.account import runnable

    somebody = pwd.getpwnam("nobody")
    (room / "bin").mkdir()
    (room / "home").mkdir()
    os.chown(room / "home", somebody.pw_uid, somebody.pw_gid)
    account = Account(uid=somebody.pw_uid, gid=somebody.pw_gid, switch=True)
    bindir = runnable(binaries, room / "bin", account)
    words = [str(bindir), str(room / "home" / "state"), str(somebody.pw_uid), str(somebody.pw_gid)]
    done = subprocess.run(
        [sys.executable, "-c", AS_ORDINARY_USER, *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        timeout=120,
    )
    assert done.stdout.split() == ["done", str(somebody.pw_uid), str(somebody.pw_uid)], done.stderr
    assert list((room / "home" / "state" / "b").iterdir()) == []
