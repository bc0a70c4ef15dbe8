"""The code that runs before the pull request is deployed: the base branch's tree, in a worktree of its own."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from neontest import suite, worktrees
from neontest.errors import UsageError, one_line
from neontest.ground import Context
from neontest.migrate import git
from neontest.sessions import Sessions
from neontest.settings import Settings
from neontest.testing import Code

SECONDS: Final = 600.0
"""For making the old code's interpreter."""
PATHS: Final = (
    "import json, os, sys; found = [m for name, m in sys.modules.items() if name.startswith('__editable__')];"
    " found = [os.path.dirname(p) for m in found for p in getattr(m, 'MAPPING', {}).values()];"
    " print(json.dumps([sys.prefix, *sys.path[1:], *found]))"
)
"""Also the folders of packages that an editable installation of setuptools finds without sys.path."""


def based(context: Context) -> tuple[Context, tuple[str, ...]]:
    """The context of a run with the grid, with the remote's default branch as the base where none is named, and notes.

    Without tests or a base the grid is off, and a note says why.
    """
    settings, environ = context.settings, context.environ
    if not settings.grid or (settings.base is not None and settings.run_tests):
        return context, ()
    if not settings.run_tests:
        why = UsageError(f"the tests are not to be run ({without_tests(settings)})")
        return replace(context, settings=replace(settings, grid=False)), (left_out(why),)
    ref = git.default_branch(context.project, environ=environ)
    try:
        if ref is None:
            raise UsageError("no base branch is known", hint="name it with --base")
        if git.left_at(context.project, ref, environ=environ) is None:
            raise UsageError(f"nothing was changed since {ref}")
    except UsageError as error:
        return replace(context, settings=replace(settings, grid=False)), (left_out(error),)
    settings = replace(settings, base=ref, sources={**settings.sources, "base": "default"})
    return replace(context, settings=settings), (f"the base branch is {ref}, as none was named",)


def without_tests(settings: Settings) -> str:
    """What says that the project's tests are not to be run."""
    said = {"flag": "--no-tests", "environment": "NEONTEST_NO_TESTS"}
    return said.get(settings.sources.get("run_tests", "default"), "tests = false")


def left_out(error: UsageError) -> str:
    """The note of a run that does without."""
    return f"no grid of old and new code: {error.message}" + (f" ({error.hint})" if error.hint else "")


def checked_out(context: Context, sessions: Sessions) -> Code:
    """The old code, in the run's private folder, which takes it away again.

    Raises:
        UsageError: there is none, or it cannot be had.
    """
    settings = context.settings
    assert settings.base is not None
    found = git.left_at(context.project, settings.base, environ=context.environ)
    if found is None:
        raise UsageError(f"nothing was changed since {settings.base}")
    try:
        tree = worktrees.add(
            sessions.scratch.path, common=found.common, commit=found.commit, environ=found.environ
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        said = one_line(error.stderr.decode("utf-8", "replace").strip()) or "git gave no reason"
        raise UsageError(f"commit {found.commit[:12]} cannot be checked out: {said}") from error
    except (OSError, subprocess.SubprocessError) as error:
        raise UsageError(f"commit {found.commit[:12]} cannot be checked out: {type(error).__name__}") from error
    root = tree / found.folder
    if not root.is_dir():
        raise UsageError(f"commit {found.commit[:12]} has no folder {found.folder}")
    environ = sessions.environ
    python = sessions.python
    if settings.old_python is not None:
        python = interpreter(context, settings.old_python, root, environ)
        # For a command of the project's own, too, which finds its Python there.
        environ = {**environ, "PATH": f"{python.parent}{os.pathsep}{environ.get('PATH', os.defpath)}"}
    more = {name: environ[name] for name in ("PATH",) if settings.old_python is not None}
    if paths := python_path(context, python, root, environ, (found.top, tree)):
        more["PYTHONPATH"] = paths
    if workspace := environ.get("GITHUB_WORKSPACE"):
        more["GITHUB_WORKSPACE"] = moved(workspace, found, tree, python)
    command = [moved(word, found, tree, python) for word in suite.command(settings.tests, python)]
    return Code(root=root, words=words(settings.root, root, command), environ=more)


def moved(text: str, found: git.Checkout, tree: Path, python: Path) -> str:
    """A word of the command, with the paths in it that lead into the new tree leading into the old one instead.

    An environment of the interpreter's stays, and what else git ignores.
    """
    prefix = python.parent.parent

    def there(match: re.Match[str]) -> str:
        path = Path(os.path.normpath(match[0]))
        if not path.is_relative_to(found.top):
            return match[0]
        stays = path.is_relative_to(prefix) and prefix.is_relative_to(found.top)
        return match[0] if stays or git.ignored(found.top, path, environ=found.environ) else f"{tree}{match[1] or ''}"

    end = r"""\s'";:|&<>()=,"""
    return re.sub(rf"(?<![\w./-]){re.escape(str(found.top))}(?=[/{end}]|$)(/[^{end}]*)?", there, text)


def words(here: Path, there: Path, command: Sequence[str]) -> tuple[str, ...]:
    """The command, also where its program is in the new tree only, as in a virtual environment that git ignores."""
    first, *others = command
    inside = os.sep in first and not Path(first).is_absolute()
    if inside and not (there / first).exists() and (here / first).exists():
        first = str((here / first).absolute())
    return (first, *others)


def interpreter(context: Context, command: str, root: Path, environ: dict[str, str]) -> Path:
    """The interpreter that the project's own command says, on the last line that it prints."""
    tail, status, in_time = suite.run_to_end(
        shlex.split(command), what="old-python", cwd=root, environment=environ,
        deadline=context.deadline.sooner(SECONDS, what="old-python"), stop=context.stop, log=context.talk.detail,
    )  # fmt: skip
    lines = [line for line in tail.splitlines() if line.strip()]
    if status or not in_time or not lines:
        how = f"exited with {status}" if in_time and status else "said nothing" if in_time else "took too long"
        raise UsageError(f"old-python {how}: {command}", hint="its last line has to be the path of an interpreter")
    python = root / lines[-1].strip()
    if not os.access(python, os.X_OK) or python.is_dir():
        raise UsageError(f"old-python names no interpreter: {one_line(lines[-1])}")
    return python


def python_path(
    context: Context, python: Path, root: Path, environ: dict[str, str], trees: tuple[Path, Path]
) -> str:  # fmt: skip
    """PYTHONPATH for the old code: what the interpreter looks through in the new tree, in the old one instead.

    An editable installation leads to the new tree, and the old tests would test the new code.
    """
    tail, status, _ = suite.run_to_end(
        (str(python), "-c", PATHS), what="the old code's interpreter", cwd=root, environment=environ,
        deadline=context.deadline.sooner(60, what="the old code's interpreter"), stop=context.stop,
        log=context.talk.detail,
    )  # fmt: skip
    try:
        prefix, *entries = (Path(each) for each in json.loads(tail.splitlines()[-1]))
    except (ValueError, IndexError, TypeError):
        raise UsageError(f"the old code's interpreter does not start: {python} (exit status {status})") from None
    new, old = trees[0].resolve(), trees[1]
    mapped = [
        str(old / each.resolve().relative_to(new))
        for each in entries
        if each.resolve().is_relative_to(new) and not each.is_relative_to(prefix)
    ]
    given = [each for each in environ.get("PYTHONPATH", "").split(os.pathsep) if each]
    others = [each for each in given if not (root / each).resolve().is_relative_to(new)]
    return os.pathsep.join(dict.fromkeys([*mapped, *others]))
