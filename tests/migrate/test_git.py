"""The base branch's revisions, read from real git repositories."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from neontest.errors import UsageError
from neontest.migrate import base_branch, git, history, project
from neontest.migrate.project import Project
from neontest.record import History


class Repository:
    """A git repository with an Alembic project in it."""

    def __init__(self, root: Path, *, environ: dict[str, str], inside: str = ".") -> None:
        self.root = root
        self.environ = environ
        self.project_root = root / inside
        root.mkdir(parents=True, exist_ok=True)

    @property
    def project(self) -> Project:
        return project.find(self.project_root, environ={})

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=self.root, env=self.environ, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def start(self) -> None:
        self.git("init", "-q", "-b", "main")
        self.put("alembic.ini", "[alembic]\nscript_location = %(here)s/migrations\n")
        self.put("migrations/env.py", "")
        self.commit("start")

    def put(self, name: str, text: str) -> None:
        path = self.project_root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def add(self, id_: str, down: str | None = None, folder: str = "migrations/versions") -> None:
        self.put(f"{folder}/{id_}_x.py", f"revision = {id_!r}\ndown_revision = {down!r}\n")

    def commit(self, message: str) -> str:
        self.git("add", "--all")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def heads_at(self, ref: str) -> tuple[str, ...]:
        return git.heads_at(self.project, ref, environ=self.environ)

    def compared(self, ref: str = "main") -> History:
        return base_branch.compared(self.project, history.read(self.project), ref, environ=self.environ)

    def clone(self, to: Path, *options: str) -> Repository:
        subprocess.run(
            ["git", "clone", "-q", *options, f"file://{self.root}", str(to)],
            env=self.environ,
            check=True,
            capture_output=True,
        )
        return Repository(to, environ=self.environ)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """git with no configuration but its own."""
    home = tmp_path / "home"
    home.mkdir()
    who = {
        f"GIT_{role}_{what}": value
        for role in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "A"), ("EMAIL", "a@b"))
    }
    return {"PATH": os.environ["PATH"], "HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1", **who}


@pytest.fixture
def repository(tmp_path: Path, environ: dict[str, str]) -> Repository:
    made = Repository(tmp_path / "shop", environ=environ)
    made.start()
    return made


def on_a_branch(repository: Repository) -> Repository:
    """main at `a`, then a branch that adds `b`, then main goes on to `newer`."""
    repository.add("a")
    repository.commit("a")
    repository.git("switch", "-q", "-c", "feature")
    repository.add("b", "a")
    repository.commit("b")
    repository.git("switch", "-q", "main")
    repository.add("newer", "a")
    repository.commit("newer")
    repository.git("switch", "-q", "feature")
    return repository


def test_the_base_is_where_the_branch_left_it(repository: Repository) -> None:
    on_a_branch(repository)
    assert repository.heads_at("main") == ("a",)
    read = history.read(repository.project)
    assert history.pending(read, repository.heads_at("main")) == ("b",)


def test_the_same_history_is_read_from_git_as_from_the_files(repository: Repository) -> None:
    repository.add("a")
    repository.add("größe 1", "a")
    repository.put("migrations/versions/readme.md", "no revision")
    repository.put("migrations/versions/deep/c.py", "revision = 'c'\ndown_revision = 'a'\n")
    repository.commit("all")
    assert git.history_at(repository.project, "HEAD", environ=repository.environ) == history.read(repository.project)
    repository.put(
        "alembic.ini", "[alembic]\nscript_location = %(here)s/migrations\nrecursive_version_locations = true\n"
    )
    assert git.history_at(repository.project, "HEAD", environ=repository.environ) == history.read(repository.project)


def test_what_is_not_committed_is_not_in_the_base(repository: Repository) -> None:
    repository.add("a")
    repository.commit("a")
    repository.add("b", "a")
    assert repository.heads_at("main") == ("a",)


@pytest.mark.parametrize("ref", ["main", "origin/main", "refs/remotes/origin/main"])
def test_a_base_that_only_a_remote_has_is_found(repository: Repository, tmp_path: Path, ref: str) -> None:
    clone = on_a_branch(repository).clone(tmp_path / "clone", "-b", "feature")
    assert clone.git("branch", "--list") == "* feature"
    assert clone.heads_at(ref) == ("a",)


def test_a_merge_commit_of_a_pull_request_starts_from_the_tip_of_its_base(
    repository: Repository, tmp_path: Path
) -> None:
    on_a_branch(repository)
    repository.git("merge", "-q", "-m", "as GitHub checks it out", "main")
    clone = repository.clone(tmp_path / "clone", "-b", "feature")
    clone.git("switch", "-q", "--detach")
    assert clone.heads_at("main") == ("newer",)


@pytest.mark.parametrize("branches", [(), ("--no-single-branch",)])
def test_a_shallow_clone_is_told_to_fetch_the_history(
    repository: Repository, tmp_path: Path, branches: tuple[str, ...]
) -> None:
    clone = on_a_branch(repository).clone(tmp_path / "clone", "-b", "feature", "--depth", "1", *branches)
    with pytest.raises(UsageError, match="shallow") as caught:
        clone.heads_at("main")
    assert "fetch-depth: 0" in str(caught.value.hint)


def test_a_folder_that_is_no_repository_is_said(tmp_path: Path, environ: dict[str, str]) -> None:
    made = Repository(tmp_path / "plain", environ={**environ, "GIT_CEILING_DIRECTORIES": str(tmp_path)})
    made.put("alembic.ini", "[alembic]\nscript_location = m\n")
    made.put("m/env.py", "")
    with pytest.raises(UsageError, match="not a git repository"):
        made.heads_at("main")


def test_without_git_on_the_path_it_is_said(repository: Repository) -> None:
    repository.environ = {"PATH": ""}
    with pytest.raises(UsageError, match="git is not installed"):
        repository.heads_at("main")


def test_without_the_folder_there_the_base_is_empty(repository: Repository) -> None:
    start = repository.git("rev-parse", "HEAD")
    repository.add("a")
    repository.commit("a")
    assert repository.heads_at(start) == ()


def test_a_project_in_a_subfolder_is_named_from_its_own_root(tmp_path: Path, environ: dict[str, str]) -> None:
    made = Repository(tmp_path / "mono", environ=environ, inside="services/shop")
    made.start()
    made.add("a")
    made.commit("a")
    (revision,) = git.history_at(made.project, "main", environ=environ).revisions
    assert revision.file == "migrations/versions/a_x.py"


def test_version_locations_outside_the_repository_are_read_as_they_are(repository: Repository, tmp_path: Path) -> None:
    outside = tmp_path / "library"
    outside.mkdir()
    (outside / "z.py").write_text("revision = 'z'\ndown_revision = None\n")
    repository.put(
        "alembic.ini",
        "[alembic]\nscript_location = %(here)s/migrations\npath_separator = newline\n"
        f"version_locations =\n  %(here)s/migrations/versions\n  {outside}\n",
    )
    repository.add("a")
    repository.commit("a")
    assert set(repository.heads_at("main")) == {"a", "z"}


@pytest.mark.parametrize(
    "ref",
    [
        "",
        "-",
        "--help",
        "--output=x",
        "-x/../y",
        "main\nmain",
        "ma\0in",
        "nope",
        "main..HEAD",
        ":/start",
        "main:alembic.ini",
        "a b",
        "*",
    ],
)
def test_a_hostile_or_unknown_ref_is_refused_and_runs_nothing(repository: Repository, ref: str) -> None:
    repository.add("a")
    repository.commit("a")
    before = sorted(path.name for path in repository.root.iterdir())
    with pytest.raises(UsageError):
        repository.heads_at(ref)
    assert sorted(path.name for path in repository.root.iterdir()) == before


def test_a_broken_base_is_no_start(repository: Repository) -> None:
    repository.add("a", "gone")
    repository.commit("a")
    with pytest.raises(UsageError, match=r"head of main is not known.*'gone'"):
        repository.heads_at("main")


def test_branches_that_share_nothing_are_said(repository: Repository) -> None:
    repository.git("switch", "-q", "--orphan", "other")
    repository.put("alembic.ini", "[alembic]\nscript_location = %(here)s/migrations\n")
    repository.put("migrations/env.py", "")
    repository.commit("other")
    with pytest.raises(UsageError, match="no commit in common"):
        repository.heads_at("main")


def test_no_key_and_no_token_is_in_gits_environment(repository: Repository, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    fake = tmp_path / "bin/git"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\nenv >> {seen}\nexec {repository.git("--exec-path")}/git "$@"\n')
    fake.chmod(0o755)
    repository.environ |= {
        "PATH": f"{fake.parent}:{repository.environ['PATH']}",
        "NEON_API_KEY": "secret-key",
        "GITHUB_TOKEN": "secret-token",
        "DATABASE_URL": "postgresql://u:secret-word@h/d",
    }
    git.heads_at(repository.project, "main", environ=repository.environ)
    assert "GIT_TERMINAL_PROMPT=0" in seen.read_text()
    assert "secret" not in seen.read_text()


# -- the revisions here beside those of the base branch ---------------------------------------------------------------

WRITTEN = """\
'''the table of users'''
revision = 'a'
down_revision = None


def upgrade():
    op.execute("CREATE TABLE a (id int)")
"""


def branched(repository: Repository) -> Repository:
    """main at `a`, and a branch that has left it."""
    repository.put("migrations/versions/a_x.py", WRITTEN)
    repository.commit("a")
    repository.git("switch", "-q", "-c", "feature")
    return repository


def test_what_the_base_branch_has_is_told_from_what_is_new(repository: Repository) -> None:
    branched(repository).add("b", "a")
    found = repository.compared()
    assert (found.on_base, found.edited, found.merged_heads) == (("a",), (), ())
    assert (found.heads, [each.id for each in found.revisions]) == (("b",), ["a", "b"])


@pytest.mark.parametrize(
    ("old", "new", "edited"),
    [
        ("users", "people", False),
        ("def upgrade", "# neontest: accept data-loss: there were no rows\ndef upgrade", False),
        ("():\n", '():\n    """Make the table."""\n', False),
        ("op.execute(", "op.execute(\n        ", False),
        ("id int", "id bigint", True),
        ("id int", "id  int", True),
        ("None", "'z'", True),
        ('")\n', '")\n    op.execute("SELECT 1")\n', True),
    ],
    ids=["docstring", "comment", "new docstring", "line break", "type", "sql", "down_revision", "statement"],
)
def test_a_file_is_edited_if_it_does_something_else(repository: Repository, old: str, new: str, edited: bool) -> None:
    branched(repository)
    assert WRITTEN.count(old) == 1
    repository.put("migrations/versions/a_x.py", WRITTEN.replace(old, new))
    assert repository.compared().edited == (("a",) if edited else ())


def test_a_file_that_only_moved_is_not_edited(repository: Repository) -> None:
    branched(repository)
    repository.git("mv", "migrations/versions/a_x.py", "migrations/versions/a_y.py")
    found = repository.compared()
    assert (found.on_base, found.edited) == (("a",), ())


def test_a_revision_that_came_to_the_base_branch_in_another_way_is_on_it(repository: Repository) -> None:
    branched(repository).add("b", "a")
    repository.commit("b")
    repository.git("switch", "-q", "main")
    repository.add("b", "a")
    repository.commit("b, squashed")
    repository.git("switch", "-q", "feature")
    repository.add("c", "b")
    found = repository.compared()
    assert (set(found.on_base or ()), found.edited, found.merged_heads) == ({"a", "b"}, (), ("c",))


def test_what_both_branches_changed_alike_is_not_edited(repository: Repository) -> None:
    branched(repository)
    changed = WRITTEN.replace("id int", "id bigint")
    repository.put("migrations/versions/a_x.py", changed)
    repository.commit("mended here")
    repository.git("switch", "-q", "main")
    repository.put("migrations/versions/a_x.py", changed)
    repository.commit("mended there")
    repository.git("switch", "-q", "feature")
    assert repository.compared().edited == ()


def test_the_heads_after_a_merge_are_those_of_both_branches(repository: Repository) -> None:
    found = on_a_branch(repository).compared()
    assert set(found.merged_heads) == {"b", "newer"}
    assert (found.heads, set(found.on_base or ())) == (("b",), {"a", "newer"})
    repository.git("merge", "-q", "-m", "main", "main")
    repository.add("b", "newer")
    assert repository.compared().merged_heads == ()


def test_a_merge_takes_what_only_one_side_changed_or_removed(repository: Repository) -> None:
    branched(repository)
    repository.git("switch", "-q", "main")
    repository.add("b", "a")
    repository.commit("b")
    repository.git("switch", "-q", "-C", "feature")
    repository.git("switch", "-q", "main")
    repository.git("rm", "-q", "migrations/versions/b_x.py")
    repository.add("c", "a")
    repository.commit("c in place of b")
    repository.git("switch", "-q", "feature")
    assert repository.compared().merged_heads == ("c",)


def test_a_base_that_cannot_be_read_raises(repository: Repository, tmp_path: Path) -> None:
    clone = on_a_branch(repository).clone(tmp_path / "clone", "-b", "feature", "--depth", "1")
    with pytest.raises(UsageError, match="shallow"):
        clone.compared()


# -- what is missing is fetched, in the action ------------------------------------------------------------------------


def merged_by_github(repository: Repository, tmp_path: Path, *depth: str) -> Repository:
    """A clone of the merge of `feature` into main, which has moved on since, in the action."""
    on_a_branch(repository)
    repository.git("switch", "-q", "--detach", "main")
    repository.git("merge", "-q", "--no-ff", "-m", "as GitHub checks it out", "feature")
    repository.git("branch", "pull")
    sha = repository.git("rev-parse", "HEAD")
    repository.git("switch", "-q", "main")
    repository.add("newest", "newer")
    repository.commit("newest")
    clone = repository.clone(tmp_path / "clone", "-b", "pull", *depth)
    action = {"NEONTEST_ACTION": "true", "GITHUB_BASE_REF": "main", "GITHUB_REF": "refs/pull/7/merge"}
    clone.environ = {**clone.environ, **action, "GITHUB_SHA": sha}
    return clone


@pytest.mark.parametrize("depth", ["1", "2", "3"])
def test_the_merge_of_a_pull_request_is_compared_with_the_base_that_it_was_merged_into(
    repository: Repository, tmp_path: Path, depth: str
) -> None:
    clone = merged_by_github(repository, tmp_path, "--depth", depth)
    before = int(clone.git("rev-list", "--count", "HEAD"))
    assert [each.name for each in git.changed(clone.root, "main", environ=clone.environ)] == ["b_x.py"]
    assert clone.heads_at("main") == ("newer",)
    found = clone.compared()
    assert (set(found.on_base or ()), found.edited, found.merged_heads) == ({"a", "newer"}, (), ())
    assert int(clone.git("rev-list", "--count", "HEAD")) == max(before, 3)  # nothing that was there was taken away


def test_another_commit_than_githubs_merge_is_followed_back_to_where_it_left_the_base(
    repository: Repository, tmp_path: Path
) -> None:
    clone = merged_by_github(repository, tmp_path, "--depth", "1")
    clone.environ["GITHUB_SHA"] = "0" * 40
    assert clone.heads_at("origin/main") == ("newer",)
    assert clone.git("rev-parse", "origin/main") == repository.git("rev-parse", "main")


def test_a_clone_of_one_branch_gets_the_base_of_any_name(repository: Repository, tmp_path: Path) -> None:
    repository.git("branch", "release/1")
    clone = merged_by_github(repository, tmp_path, "--single-branch")
    with pytest.raises(UsageError, match=r"git knows no nope.*; fetching failed: couldn't find remote ref"):
        clone.heads_at("nope")
    assert clone.heads_at("release/1") == ()
    assert clone.git("tag") == clone.git("branch", "--list", "main") == ""


@pytest.mark.parametrize("ref", ["--upload-pack=touch x", "a:b", "+main", "ma*n", "main\nmain", ""])
def test_a_hostile_ref_fetches_nothing(repository: Repository, tmp_path: Path, ref: str) -> None:
    clone = merged_by_github(repository, tmp_path, "--depth", "1")
    refs = clone.git("for-each-ref")
    with pytest.raises(UsageError):
        clone.heads_at(ref)
    assert clone.git("for-each-ref") == refs


def test_elsewhere_than_in_the_action_nothing_is_fetched(repository: Repository, tmp_path: Path) -> None:
    clone = merged_by_github(repository, tmp_path, "--depth", "1")
    del clone.environ["NEONTEST_ACTION"]
    with pytest.raises(UsageError, match="shallow"):
        clone.heads_at("main")


# -- what the user's own configuration cannot change ------------------------------------------------------------------

CONFIG = """\
[status]
showUntrackedFiles = no
relativePaths = true
branch = true
[diff]
noprefix = true
relative = true
renames = copies
ignoreSubmodules = all
external = false
[color]
ui = always
[core]
quotePath = true
fsmonitor = true
pager = false
"""


def test_no_configuration_of_the_user_hides_or_renames_what_was_changed(repository: Repository) -> None:
    (Path(repository.environ["HOME"]) / ".gitconfig").write_text(CONFIG)
    environ = repository.environ
    repository.add("a")
    repository.commit("a")
    assert git.left_at(repository.project, "main", environ=environ) is None
    assert git.changed(repository.root, "main", environ=environ) == ()
    repository.add("größe", "a")
    assert git.left_at(repository.project, "main", environ=environ) is not None
    (new,) = git.changed(repository.root, "main", environ=environ)
    assert new == repository.root.resolve() / "migrations/versions/größe_x.py"
    repository.git("switch", "-q", "-c", "feature")
    repository.git("mv", "migrations/versions/a_x.py", "migrations/versions/a_y.py")
    assert {each.name for each in git.changed(repository.root, "main", environ=environ)} == {
        "a_x.py", "a_y.py", "größe_x.py",
    }  # fmt: skip


def in_action(root: Path, url: str, environ: dict[str, str]) -> Repository:
    """A repository in the action, where `url` is what the base branch would be fetched from."""
    repository = Repository(root, environ={**environ, "NEONTEST_ACTION": "1"})
    repository.start()
    repository.git("remote", "add", "origin", url)
    return repository


def test_a_fetch_that_takes_too_long_ends_with_all_that_it_began(
    tmp_path: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git, "TIMEOUT", 2.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        where = f"127.0.0.1:{server.getsockname()[1]}"
        repository = in_action(tmp_path / "r", f"http://x-token:s3same@{where}/o/r", environ)
        with pytest.raises(UsageError) as caught:
            git.changed(repository.root, "elsewhere", environ=repository.environ)
        assert "fetching failed: git fetch took longer than 2 s" in caught.value.message
        listed = subprocess.run(["ps", "-A", "-o", "args="], capture_output=True, text=True, check=True).stdout
        assert where not in listed


@pytest.mark.parametrize("password", ["s3same", "op@n:s3same", "op/n:s3same"])
def test_why_fetching_failed_does_not_tell_the_password(tmp_path: Path, environ: dict[str, str], password: str) -> None:
    repository = in_action(tmp_path / "r", f"http://x-token:{password}@127.0.0.1:1/o/r", environ)
    with pytest.raises(UsageError) as caught:
        git.changed(repository.root, "elsewhere", environ=repository.environ)
    assert "fetching failed: unable to access 'http://127.0.0.1:1/o/r/'" in caught.value.message


def test_why_fetching_failed_does_not_tell_what_is_asked_for_in_the_url(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    repository = in_action(tmp_path / "r", "http://127.0.0.1:1/o/r?token=s3same", environ)
    with pytest.raises(UsageError) as caught:
        git.changed(repository.root, "elsewhere", environ=repository.environ)
    assert "fetching failed: unable to access 'http://127.0.0.1:1/o/r'" in caught.value.message
