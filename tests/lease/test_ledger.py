"""The ledger outlives its owner, and knows whether the owner lives."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from neontest.errors import UsageError
from neontest.lease.ledger import Entry, Found, Ledger, default_folder

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def entry(name: str = "neontest/a") -> Entry:
    return Entry(
        name=name,
        project_id="p-1",
        api_host="https://x.test/api/v2",
        expires_at=NOW,
        created_at=NOW,
        annotation={"lease": name},
    )


def found(ledger: Ledger) -> list[Found]:
    return list(ledger.found())


def test_an_entry_is_read_as_it_was_written(ledger: Ledger) -> None:
    hold = ledger.write(entry())
    hold.update("br-1")
    hold.release()
    (one,) = found(ledger)
    assert one.entry is not None
    assert one.entry.branch_id == "br-1"
    assert one.entry.annotation == {"lease": "neontest/a"}
    assert one.entry.expires_at == NOW
    assert one.hold is not None
    one.hold.remove()
    assert found(ledger) == []


def test_an_entry_of_a_living_owner_cannot_be_taken(ledger: Ledger) -> None:
    hold = ledger.write(entry())
    assert [one.hold for one in found(ledger)] == [None]
    hold.update("br-1")
    assert [one.hold for one in found(ledger)] == [None]
    hold.release()
    (one,) = found(ledger)
    assert one.hold is not None
    # ... and not by two at once.
    assert [each.hold for each in found(ledger)] == [None]


def test_what_was_given_back_is_not_written_again(ledger: Ledger) -> None:
    hold = ledger.write(entry())
    hold.remove()
    hold.update("br-late")
    hold.remove()
    assert found(ledger) == []
    assert list(ledger.folder.iterdir()) == []


CHILD = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from neontest.lease.ledger import Entry, Ledger
now = datetime.now(UTC)
hold = Ledger(Path(sys.argv[1])).write(Entry(
    name="n", project_id="p", api_host="h", expires_at=now, created_at=now, annotation={}))
print("written", flush=True)
sys.stdin.read()
"""


def test_the_end_of_a_process_frees_its_entries(ledger: Ledger) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(ledger.folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"written\n"
    assert [one.hold for one in found(ledger)] == [None]
    child.kill()
    child.communicate()
    (one,) = found(ledger)
    assert one.hold is not None
    one.hold.release()


def test_a_child_of_the_owner_does_not_inherit_the_lock(ledger: Ledger) -> None:
    hold = ledger.write(entry())
    child = subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        close_fds=False,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"\n"  # it runs, so what closes on exec is closed
    hold.release()
    (one,) = found(ledger)
    child.communicate(b"\n")
    assert one.hold is not None
    one.hold.release()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"name": "x"}', b"\xff"])
def test_a_file_that_cannot_be_read_is_told_and_left(ledger: Ledger, content: bytes) -> None:
    ledger.folder.mkdir(parents=True)
    path = ledger.folder / "x.json"
    path.write_bytes(content)
    (one,) = found(ledger)
    assert one.path == path
    assert one.entry is None
    assert path.exists()


def test_drafts_and_other_files_are_not_entries(ledger: Ledger) -> None:
    ledger.write(entry()).release()
    (ledger.folder / ".x.json.ab12").write_bytes(b"{")
    (ledger.folder / "notes.txt").write_bytes(b"")
    assert len(found(ledger)) == 1


def test_old_drafts_of_killed_writers_are_removed(ledger: Ledger) -> None:
    ledger.folder.mkdir(parents=True)
    old, new = ledger.folder / ".a.json.1", ledger.folder / ".b.json.2"
    for path in (old, new):
        path.write_bytes(b"{")
    os.utime(old, (1, 1))
    assert found(ledger) == []
    assert not old.exists()
    assert new.exists()


def test_an_id_that_cannot_be_written_down_does_no_harm(ledger: Ledger) -> None:
    hold = ledger.write(entry())
    hold.path.unlink()
    ledger.folder.rmdir()
    hold.update("br-1")
    assert hold.entry.branch_id is None
    hold.release()


def test_a_folder_that_is_not_there_is_empty(ledger: Ledger) -> None:
    assert found(ledger) == []


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        Ledger(tmp_path / "file" / "ledger").write(entry())


def test_whether_a_folder_can_be_written_is_known_beforehand(ledger: Ledger) -> None:
    ledger.check()
    assert list(ledger.folder.iterdir()) == []
    with pytest.raises(UsageError, match="/dev/null/x") as caught:
        Ledger(Path("/dev/null/x")).check()
    assert caught.value.exit_code == 2


def test_the_usual_folder_is_the_users_state() -> None:
    assert default_folder({"XDG_STATE_HOME": "/s", "HOME": "/h"}) == Path("/s/neontest/ledger")
    assert default_folder({"XDG_STATE_HOME": "relative", "HOME": "/h"}) == Path("/h/.local/state/neontest/ledger")
    assert default_folder({"HOME": "/h"}) == Path("/h/.local/state/neontest/ledger")
    assert default_folder({}).is_absolute()


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_it_is_its_owners_alone_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    ledger = Ledger(tmp_path / "a" / "b" / "ledger")
    before = os.umask(umask)
    try:
        ledger.check()
        hold = ledger.write(entry())
        hold.update("br-a-1")
    finally:
        os.umask(before)
    for folder in (ledger.folder, ledger.folder.parent, ledger.folder.parent.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(hold.path.stat().st_mode) == 0o600
    hold.release()


def test_a_folder_of_ones_own_that_others_could_look_into_is_closed(ledger: Ledger) -> None:
    ledger.folder.mkdir(parents=True)
    ledger.folder.chmod(0o777)
    ledger.check()
    assert stat.S_IMODE(ledger.folder.stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's folder")
@pytest.mark.parametrize("through_a_link", [False, True])
def test_another_users_folder_is_neither_written_nor_believed(tmp_path: Path, through_a_link: bool) -> None:
    """Its owner could have us give back what we must not, or forget what we must."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    if through_a_link:
        (tmp_path / "link").symlink_to(folder)
        folder = tmp_path / "link"
    for use in (Ledger(folder).check, lambda: Ledger(folder).write(entry()), lambda: found(Ledger(folder))):
        with pytest.raises(UsageError, match="belongs to another user"):
            use()
    assert list(folder.iterdir()) == []
