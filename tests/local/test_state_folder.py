"""The state folder is ours, or it is refused before anything in it is touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from neontest.errors import UsageError
from neontest.local.account import choose
from neontest.local.binaries import Binaries
from neontest.local.setup import FOLDERS, prepare
from neontest.local.state_folder import MARKER, find_state, prepare_state

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="root only")
SOMEBODY = 65534


def modes(folder: Path) -> dict[str, tuple[int, int]]:
    """Owner and mode of all that is in a folder."""
    return {str(path): (path.lstat().st_uid, path.lstat().st_mode) for path in (folder, *folder.rglob("*"))}


def test_a_new_one_is_made_with_its_parents_and_found_again(room: Path) -> None:
    state = room / "a" / "b"
    assert find_state(state) is None
    assert prepare_state(state, choose()) == state
    assert find_state(state) == prepare_state(state, choose()) == state
    assert state.stat().st_mode & 0o777 == (0o711 if os.geteuid() == 0 else 0o700)  # its servers are another user's


def test_an_empty_folder_is_taken_as_it_is(room: Path) -> None:
    state = room / "state"
    state.mkdir()
    state.chmod(0o755)
    assert find_state(state) is None
    assert prepare_state(state, choose()) == state
    assert state.stat().st_mode & 0o777 == 0o755


def test_a_folder_with_something_else_in_it_is_refused_untouched(room: Path) -> None:
    (room / "project" / "b").mkdir(parents=True)
    (room / "project" / "file").touch()
    before = modes(room)
    with pytest.raises(UsageError, match="is not empty, and neontest did not make it"):
        prepare_state(room / "project", choose())
    assert find_state(room / "project") is None
    assert modes(room) == before


def test_one_from_before_there_was_a_marker_is_taken(room: Path, binaries: Binaries) -> None:
    prepare(room / "state", binaries, persistent=False)
    (room / "state" / MARKER).unlink()
    assert find_state(room / "state") == room / "state"
    assert prepare(room / "state", binaries, persistent=False).state == room / "state"


def test_ones_own_link_on_the_way_is_followed(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (room / "real").mkdir(mode=0o711)
    (room / "link").symlink_to("real")
    (room / "state").symlink_to(room / "link" / "state")
    monkeypatch.chdir(room)
    for path in (room / "link" / "state", room / "state", Path("link/state"), room / "link" / ".." / "state"):
        assert prepare_state(path, choose()) == room / "real" / "state"


def test_a_circle_of_links_is_refused(room: Path) -> None:
    (room / "one").symlink_to("two")
    (room / "two").symlink_to("one")
    with pytest.raises(UsageError, match="link"):
        prepare_state(room / "one", choose())


@as_root
@pytest.mark.parametrize("path", ["public/state", "public/way/state"])
def test_another_users_link_is_refused_and_its_target_untouched(room: Path, path: str) -> None:
    public, target = room / "public", room / "target"
    public.mkdir()
    public.chmod(0o1777)
    for name in ("b", "kept", "lock", "new"):
        (target / "state" / name).mkdir(parents=True)
        (target / name).mkdir()
    link = public / Path(path).parts[1]
    link.symlink_to(target)
    os.chown(link, SOMEBODY, SOMEBODY, follow_symlinks=False)
    before = modes(target)
    with pytest.raises(UsageError, match="another user's link"):
        prepare_state(room / path, choose())
    with pytest.raises(UsageError, match="another user's link"):
        find_state(room / path)
    assert modes(target) == before


@pytest.mark.parametrize("name", FOLDERS)
def test_a_link_in_the_place_of_one_of_its_folders_is_refused(room: Path, name: str, binaries: Binaries) -> None:
    (room / "target").mkdir(mode=0o750)
    before = modes(room / "target")
    state = prepare_state(room / "state", choose())
    (state / name).symlink_to(room / "target")
    with pytest.raises(UsageError, match="is not a folder"):
        prepare(state, binaries, persistent=False)
    assert modes(room / "target") == before


def test_one_that_others_can_replace_is_refused(room: Path) -> None:
    public = room / "public"
    public.mkdir()
    public.chmod(0o777)
    for path in (public / "state", public / "deeper" / "state"):
        with pytest.raises(UsageError, match=r"others can write in .*public, and so put something else"):
            prepare_state(path, choose())
    assert list(public.iterdir()) == []
    public.chmod(0o1777)
    assert prepare_state(public / "state", choose()) == public / "state"


def test_one_that_others_can_write_in_is_refused(room: Path) -> None:
    state = room / "state"
    state.mkdir()
    state.chmod(0o1777)
    with pytest.raises(UsageError, match="others can write in the state folder"):
        prepare_state(state, choose())


@as_root
def test_somebody_elses_is_refused(room: Path) -> None:
    state = room / "state"
    state.mkdir()
    os.chown(state, SOMEBODY, SOMEBODY)
    with pytest.raises(UsageError, match="belongs to another user"):
        prepare_state(state, choose())
    with pytest.raises(UsageError, match="belongs to another user"):
        find_state(state)


@as_root
def test_one_that_the_account_cannot_reach_is_refused_and_no_mode_is_changed(room: Path) -> None:
    account = choose()
    if not account.switch:
        pytest.skip("root cannot become another user here")
    closed = room / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(UsageError, match="cannot reach the state folder") as caught:
        prepare_state(closed / "state", account)
    assert "NEONTEST_STATE" in (caught.value.hint or "")
    assert closed.stat().st_mode & 0o777 == 0o700


def test_one_that_cannot_be_made_is_said(room: Path) -> None:
    (room / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be made"):
        prepare_state(room / "file" / "state", choose())
