"""The revisions as the base branch has them: read by git from its objects, with no checkout and nothing run."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Final

import msgspec

from neontest.errors import UsageError, one_line
from neontest.migrate import history, scripts
from neontest.migrate.project import Project
from neontest.record import History

TIMEOUT: Final = 60.0
"""Seconds for one git command; the objects of a partial clone may have to be fetched."""
DEEP: Final = 200
"""Commits of either branch that are fetched to find where they parted, beyond those that are there."""

# git is told where it is and how it is configured, and nothing else: no key or token is in its environment.
_PASSED: Final = ("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "XDG_CONFIG_HOME", "SYSTEMROOT", "SSH_AUTH_SOCK")
_PASSED_GIT: Final = ("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_CONFIG_GLOBAL")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Repository:
    top: Path
    environ: Mapping[str, str] = field(repr=False, hash=False)
    fetches: bool = False
    """In the action, what a clone lacks of the base branch is fetched."""
    base: str | None = None
    """The base branch that GitHub names."""
    merge: str | None = None
    """The commit by which GitHub has merged the pull request into it, to be tested."""

    def git(self, *arguments: str, stdin: bytes = b"") -> bytes:
        return _run(self.top, self.environ, *arguments, stdin=stdin)

    def ask(self, *arguments: str) -> str | None:
        """The command's answer; None where git says no."""
        try:
            return self.git(*arguments).decode("utf-8", "surrogateescape").strip()
        except subprocess.CalledProcessError:
            return None

    @property
    def shallow(self) -> bool:
        return self.ask("rev-parse", "--is-shallow-repository") == "true"


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """The base branch's revision files, (name, content) in Alembic's order, at two of its commits."""

    left: tuple[tuple[str, bytes], ...]
    """Where HEAD left it: the merge base."""
    tip: tuple[tuple[str, bytes], ...]
    """As it is now; the same object where it did not move on."""


def heads_at(project: Project, ref: str, *, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The heads of the base branch, as its database's version table has them after `upgrade heads`.

    The base is where HEAD left `ref` (the merge base), not the tip of `ref`: a branch that was not rebased lacks the
    newer revisions of its base, and could start from none of them.

    Raises:
        UsageError: see `history_at`; or the base's own graph is broken.
    """
    found = history_at(project, ref, environ=environ)
    if found.faults:
        raise UsageError(
            f"the head of {ref} is not known: {found.faults[0].message}",
            hint="say where to start with --from-revision (base = an empty database)",
        )
    return history.effective_heads(found)


def history_at(project: Project, ref: str, *, environ: Mapping[str, str]) -> History:
    """The revisions where HEAD left `ref`, in the folders that the project's migrations are in now.

    Without any such folder there the history is empty. Folders outside the repository are read as they are.

    Raises:
        UsageError: no git, no repository, no such ref, or too little history fetched to know.
    """
    repository = _repository(project.root, environ)
    return history.from_sources(_files(repository, project, _left(repository, ref)))


def base(project: Project, ref: str, *, environ: Mapping[str, str]) -> Base:
    """The revision files of the base branch, where HEAD left it and at its tip.

    Raises:
        UsageError: as `history_at`.
    """
    repository = _repository(project.root, environ)
    left, tip = _left(repository, ref), _commit(repository, ref)
    files = _files(repository, project, left)
    return Base(left=files, tip=files if tip == left else _files(repository, project, tip))


def _files(repository: _Repository, project: Project, commit: str) -> tuple[tuple[str, bytes], ...]:
    """The revision files at a commit, each once, in all folders that the migrations are in now."""
    sources: list[tuple[str, bytes]] = []
    for location in project.version_locations:
        folder = _inside(repository, location)
        if folder is None:
            sources.extend(history.read_sources(project, (location,)))
        else:
            sources.extend(_sources(repository, project, commit, location, folder))
    return tuple({name: (name, source) for name, source in sources}.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """A commit that could be checked out, and the repository that has it."""

    commit: str
    top: Path
    """The user's own worktree."""
    folder: PurePosixPath
    """The project's, in it."""
    common: Path
    """The repository's own folder, `.git`."""
    environ: Mapping[str, str] = field(repr=False)


def left_at(project: Project, ref: str, *, environ: Mapping[str, str]) -> Checkout | None:
    """The commit where HEAD left `ref`; None where everything is there as it is here, so that nothing was changed.

    Raises:
        UsageError: as `history_at`.
    """
    repository = _repository(project.root, environ)
    commit, folder = _left(repository, ref), _inside(repository, project.root)
    common = repository.ask("rev-parse", "--git-common-dir")
    if folder is None or common is None:
        raise UsageError(f"{project.root} is not in the repository {repository.top}")
    # Said, not left to the user's configuration, which could hide files.
    dirty = repository.git("status", "--porcelain", "--untracked-files=all", "--ignore-submodules=none")
    if commit == repository.ask("rev-parse", "HEAD") and not dirty:
        return None
    found = (repository.top / common).resolve()
    return Checkout(commit=commit, top=repository.top, folder=folder, common=found, environ=repository.environ)


def ignored(root: Path, path: Path, *, environ: Mapping[str, str]) -> bool:
    """git ignores what is at that place in the worktree that `root` is in, such as a virtual environment.

    Raises:
        UsageError: as `history_at`.
    """
    repository = _repository(root, environ)
    # check-ignore takes every path as it is, and refuses to be told so.
    repository = replace(repository, environ={**repository.environ, "GIT_LITERAL_PATHSPECS": "0"})
    tops = {repository.top, repository.top.resolve()}
    inside = [each for each in (*reversed(path.parents), path) if tops & {*each.parents}]
    link = next((each for each in inside if each.is_symlink()), path)  # git looks no further
    return repository.ask("check-ignore", "--", str(link)) is not None


def default_branch(project: Project, *, environ: Mapping[str, str]) -> str | None:
    """The remote's default branch, as a ref that is known here; None where there is none."""
    try:
        repository = _repository(project.root, environ)
    except UsageError:
        return None
    head = repository.ask("symbolic-ref", "--quiet", "refs/remotes/origin/HEAD")
    for ref in filter(None, (head, "refs/remotes/origin/main", "refs/remotes/origin/master")):
        if repository.ask("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}"):
            return ref
    return None


def head_commit(project: Project, *, environ: Mapping[str, str]) -> str | None:
    """The commit that is checked out; None without git, a repository or a commit."""
    try:
        return _repository(project.root, environ).ask("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    except UsageError:
        return None


def changed(root: Path, ref: str, *, environ: Mapping[str, str]) -> tuple[Path, ...]:
    """The files that differ from where HEAD left `ref`, committed or not, under both names where one was moved.

    Raises:
        UsageError: as `history_at`.
    """
    repository = _repository(root, environ)
    how = ("--name-only", "--no-renames", "--no-ext-diff", "--ignore-submodules=none", "-z")
    listed = repository.git("diff", *how, _left(repository, ref), "--")
    listed += repository.git("ls-files", "--others", "--exclude-standard", "-z")
    names = listed.decode("utf-8", "surrogateescape").split("\0")
    return tuple(repository.top.resolve() / name for name in names if name)


def top(root: Path, *, environ: Mapping[str, str]) -> Path:
    """The top folder of the repository that the folder is in; UsageError where it is in none."""
    return _repository(root, environ).top.resolve()


def _sources(
    repository: _Repository, project: Project, commit: str, location: Path, folder: PurePosixPath
) -> Iterable[tuple[str, bytes]]:
    """The revision files below one folder at a commit, in Alembic's order."""
    listing = repository.git(
        "ls-tree", "-r", "-z", "--full-tree", commit, "--", *(() if folder == PurePosixPath() else (str(folder),))
    )
    entries: list[tuple[str, str]] = []
    for entry in listing.decode("utf-8", "surrogateescape").split("\0"):
        meta, _, path = entry.partition("\t")
        if not path or meta.split(" ")[1] != "blob" or meta.startswith("120000"):
            continue
        relative = PurePosixPath(path).relative_to(folder)
        nested = len(relative.parts) > 1
        if (
            scripts.is_script(relative.name)
            and "__pycache__" not in relative.parts
            and (project.recursive or not nested)
        ):
            entries.append((project.name(location / relative), meta.split(" ")[2]))
    entries.sort(key=lambda entry: (entry[0].count("/"), entry[0]))
    return zip((name for name, _ in entries), _blobs(repository, [oid for _, oid in entries]), strict=True)


def _blobs(repository: _Repository, oids: list[str]) -> list[bytes]:
    """The contents of these objects, by one process."""
    output = repository.git("cat-file", "--batch", stdin="".join(f"{oid}\n" for oid in oids).encode()) if oids else b""
    contents: list[bytes] = []
    at = 0
    for oid in oids:
        end = output.index(b"\n", at)
        header = output[at:end].split(b" ")
        if header[-1] == b"missing":
            raise UsageError(
                f"git has not the content of {oid[:12]}",
                hint="fetch the whole history (actions/checkout: fetch-depth: 0)",
            )
        size = int(header[2])
        contents.append(output[end + 1 : end + 1 + size])
        at = end + 1 + size + 1
    return contents


def _repository(root: Path, environ: Mapping[str, str]) -> _Repository:
    passed = {name: value for name in (*_PASSED, *_PASSED_GIT) if (value := environ.get(name)) is not None}
    passed |= {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_LITERAL_PATHSPECS": "1"}
    try:
        top = _run(root, passed, "rev-parse", "--show-toplevel").decode("utf-8", "surrogateescape").rstrip("\n")
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode("utf-8", "replace").strip().splitlines()
        raise UsageError(
            f"{root} is not a git repository that can be read: {said[0] if said else 'git gave no reason'}",
            hint="without git, say where to start with --from-revision (base = an empty database)",
        ) from error
    in_action = bool(environ.get("NEONTEST_ACTION"))
    merged = in_action and re.fullmatch(r"refs/pull/\d+/merge", environ.get("GITHUB_REF", ""))
    return _Repository(
        top=Path(top), environ=passed, fetches=in_action, base=environ.get("GITHUB_BASE_REF"),
        merge=environ.get("GITHUB_SHA") if merged else None,
    )  # fmt: skip


def _left(repository: _Repository, ref: str) -> str:
    """The commit where HEAD left `ref`; what is missing to know it is fetched, in the action."""
    base, why = _parted(repository, ref), ""
    if base is None and repository.fetches and (why := _fetched(repository, ref)) == "":
        base = _parted(repository, ref)
    if base is not None:
        return base
    tried = f"; fetching failed: {why}" if why else ""
    _commit(repository, ref, tried)
    if repository.shallow:
        raise UsageError(
            f"where this branch left {ref} is not in this shallow clone: --base needs the history{tried}",
            hint="fetch it: `git fetch --unshallow`, or with actions/checkout `fetch-depth: 0`",
        )
    if repository.ask("rev-parse", "--verify", "--quiet", "HEAD^{commit}") is None:
        raise UsageError("HEAD has no commit yet, so it has no base", hint="commit first, or use --from-revision")
    raise UsageError(
        f"this branch and {ref} have no commit in common", hint="name another --base, or use --from-revision"
    )


def _parted(repository: _Repository, ref: str) -> str | None:
    """The commit where HEAD left `ref`, as far as it is known here."""
    tip = _known(repository, ref)
    base = repository.ask("merge-base", tip, "HEAD") if tip else None
    return base.splitlines()[0] if base else None


@cache
def _fetched(repository: _Repository, ref: str) -> str:
    """Fetch what a clone lacks of the base branch from `origin`, once; why that failed, or nothing.

    The commit that GitHub made to merge the pull request has the base branch as its first parent. From any other
    commit both branches are followed back, as far as `DEEP`.
    """
    name = ref.removeprefix("origin/")
    there = f"refs/remotes/origin/{name}"
    if repository.ask("check-ref-format", there) is None:
        return ""
    head, shallow = repository.ask("rev-parse", "HEAD") or "", repository.shallow
    try:
        if head == repository.merge and name == repository.base:
            if repository.ask("rev-parse", "--verify", "--quiet", "HEAD^1") is None:
                _fetch(repository, "--depth=2", head)
            repository.git("update-ref", there, "HEAD^1")
        elif shallow:
            here = int(repository.ask("rev-list", "--count", "HEAD") or 0)  # a smaller depth would take some away
            _fetch(repository, f"--depth={here + DEEP}", head, f"+refs/heads/{name}:{there}")
        elif _known(repository, ref) is None:
            _fetch(repository, f"+refs/heads/{name}:{there}")
    except subprocess.CalledProcessError as error:
        said = re.sub(r"(?<=://)\S*@|\?[^\s']+", "", error.stderr.decode("utf-8", "replace")).strip().splitlines()
        fatal = [line.removeprefix("fatal: ") for line in said if line.startswith("fatal: ")]
        return one_line((fatal or said or ["git gave no reason"])[0])
    except UsageError as error:
        return error.message
    return ""


def _fetch(repository: _Repository, *what: str) -> None:
    """Fetch these, and nothing else: no tags, no submodules; nothing is pruned, packed anew or run."""
    quiet = ("--quiet", "--no-tags", "--no-prune", "--no-recurse-submodules", "--no-write-fetch-head")
    repository.git("fetch", *quiet, "origin", *what)


def _commit(repository: _Repository, ref: str, tried: str = "") -> str:
    """The commit that a ref means; `tried` says what was done to get it.

    Raises:
        UsageError: git knows none.
    """
    if commit := _known(repository, ref):
        return commit
    raise UsageError(
        f"git knows no {ref}, neither here nor on a remote{': this clone is shallow' * repository.shallow}{tried}",
        hint="fetch it: `git fetch origin`, or with actions/checkout `fetch-depth: 0` (--base needs the history)",
    )


def _known(repository: _Repository, ref: str) -> str | None:
    """The commit that a ref means: as git reads it, else the branch of that name on a remote.

    A name that begins with `-` is refused here, so that git never takes it for an option.
    """
    if not ref or ref.startswith("-") or any(ord(sign) < 32 or sign == "\x7f" for sign in ref):
        raise UsageError(f"{ref!r} cannot be the name of a base branch")
    remotes = (repository.ask("remote") or "").split()
    remotes.sort(key=lambda name: name != "origin")
    for name in (ref, f"refs/heads/{ref}", *(f"refs/remotes/{remote}/{ref}" for remote in remotes)):
        if commit := repository.ask("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"):
            return commit.splitlines()[-1]
    return None


def _inside(repository: _Repository, location: Path) -> PurePosixPath | None:
    """The folder as git names it; None where it lies outside the repository."""
    for path in (location, location.resolve()):
        for top in (repository.top, repository.top.resolve()):
            if path.is_relative_to(top):
                return PurePosixPath(path.relative_to(top).as_posix())
    return None


def _run(cwd: Path, environ: Mapping[str, str], *arguments: str, stdin: bytes = b"") -> bytes:
    settings = "core.quotePath=off core.fsmonitor=false core.hooksPath=/dev/null gc.auto=0 maintenance.auto=false"
    given = [word for each in settings.split() for word in ("-c", each)]
    command = ["git", "--no-pager", *given, *arguments]
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(
            command, cwd=cwd, env=dict(environ), stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )
    except FileNotFoundError as error:
        raise UsageError(
            "git is not installed, so the base branch cannot be read",
            hint="install git, or say where to start with --from-revision",
        ) from error
    with process:
        try:
            out, err = process.communicate(stdin, TIMEOUT)
        except BaseException as error:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # what it began goes on without it: it waits for a remote
            if isinstance(error, subprocess.TimeoutExpired):
                raise UsageError(f"git {arguments[0]} took longer than {TIMEOUT:g} s in {cwd}") from error
            raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, out, err)
    return out
