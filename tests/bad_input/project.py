"""What stands around the revisions and is wrong: alembic.ini, templates of the environment, git."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

from tests.bad_input.case import GOOD, RUN, Case, Place, Refused, revision
from tests.bad_input.settings import toml

Make = Callable[[Place], None]


def git(place: Place, *words: str) -> None:
    environ = {
        "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(place.home), "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b",
    }  # fmt: skip
    try:
        subprocess.run(["git", *words], cwd=place.root, env=environ, check=True, capture_output=True)
    except FileNotFoundError as error:
        raise Refused("git is not installed") from error


def repository(*more: tuple[str, ...]) -> Make:
    """The project in a repository with one commit, then more of git."""

    def make(place: Place) -> None:
        for words in (("init", "-q", "-b", "main"), ("add", "-A"), ("commit", "-q", "-m", "one"), *more):
            git(place, *words)

    return make


def damaged(name: str, content: bytes) -> Make:
    """A repository of which one file is not as git left it."""

    def make(place: Place) -> None:
        repository()(place)
        (place.root / ".git" / name).write_bytes(content)

    return make


def mended(place: Place) -> None:
    """What is broken in the commit is not so any more in the folder."""
    repository()(place)
    (place.root / "migrations/versions/r1.py").write_text(GOOD)


def no_objects(place: Place) -> None:
    repository()(place)
    for folder in (place.root / ".git" / "objects").iterdir():
        for file in folder.iterdir():
            file.unlink()


def shallow(place: Place) -> None:
    """The project is a clone of depth 1, on a branch of its own."""
    repository(("checkout", "-q", "-b", "topic"), ("commit", "-q", "--allow-empty", "-m", "two"))(place)
    git(place, "clone", "-q", "--depth", "1", "--no-single-branch", f"file://{place.root}", str(place.top / "shallow"))
    place.root.rename(place.top / "whole")
    (place.top / "shallow").rename(place.root)


def ini(text: str) -> dict[str, str | bytes | None]:
    return {"alembic.ini": "[alembic]\n" + text}


def links(place: Place) -> None:
    (place.root / "alembic.ini").unlink()
    (place.root / "alembic.ini").symlink_to("other.ini")
    (place.root / "other.ini").symlink_to("alembic.ini")


def files(name: str, text: str) -> dict[str, str]:
    return {"pyproject.toml": f"[tool.neontest.files]\n'{name}' = '{text}'\n"}


CASES = (
    # alembic.ini
    Case(
        name="no project at all",
        args=("run",),
        files={"alembic.ini": None, "migrations/env.py": None, "migrations/versions/r1.py": None},
        says=r"no Alembic or Flask-Migrate environment in",
    ),
    Case(
        name="an alembic.ini without a script_location",
        files=ini("x = 1\n"),
        says=r"alembic.ini has no script_location",
    ),
    Case(name="an empty script_location", files=ini("script_location =\n"), says=r"has no env.py"),
    Case(
        name="a script_location that is not there",
        files=ini("script_location = nowhere\n"),
        says=r"nowhere.*does not exist",
    ),
    Case(
        name="a script_location that is a file",
        files=ini("script_location = alembic.ini\n"),
        says=r"alembic.ini, which (does not exist|is no folder)",
    ),
    Case(
        name="a script_location of a package that is not there",
        files=ini("script_location = nopackage:migrations\n"),
        says=r"the package 'nopackage'",
    ),
    Case(
        name="a script_location with a single percent sign",
        files=ini("script_location = 100%/migrations\n"),
        says=r"alembic.ini:2: .*script_location",
    ),
    Case(
        name="a script_location that refers to nothing",
        files=ini("script_location = %(there)s/migrations\n"),
        says=r"%\(there\)s",
        slow=True,
    ),
    Case(
        name="a script_location that refers to itself",
        files=ini("script_location = %(script_location)s\n"),
        says=r"script_location cannot be filled in",
    ),
    Case(name="a null byte in script_location", files=ini("script_location = mig\0rations\n"), says=r"script_location"),
    Case(
        name="a script_location of 5,000 characters",
        files=ini(f"script_location = {'m' * 5000}\n"),
        says=r"cannot be looked for: File name too long",
    ),
    Case(
        name="an alembic.ini that is binary",
        files={"alembic.ini": bytes(range(256)) * 8},
        says=r"alembic.ini.*not a configuration file",
    ),
    Case(name="an empty alembic.ini", files={"alembic.ini": ""}, says=r"alembic.ini has no section \[alembic\]"),
    Case(
        name="an alembic.ini with a section twice",
        files=ini("[alembic]\n"),
        says=r"section \[alembic\] twice",
        slow=True,
    ),
    Case(
        name="an alembic.ini in UTF-16",
        files={"alembic.ini": "[alembic]\nscript_location = migrations\n".encode("utf-16")},
        says=r"alembic.ini",
    ),
    Case(
        name="an alembic.ini that is a folder",
        files={"alembic.ini": None},
        make=lambda place: (place.root / "alembic.ini").mkdir(),
        says=r"no Alembic or Flask-Migrate environment",
        slow=True,
    ),
    Case(
        name="an alembic.ini that is a circle of links",
        files={},
        make=links,
        says=r"no Alembic or Flask-Migrate environment",
    ),
    Case(
        name="an alembic.ini that is named and a circle of links",
        args=(*RUN, "--alembic-config", "alembic.ini"),
        make=links,
        says=r"alembic.ini",
    ),
    Case(
        name="an alembic.ini that is named and is a pipe",
        args=(*RUN, "--alembic-config", "pipe"),
        make=lambda place: __import__("os").mkfifo(place.root / "pipe"),
        says=r"pipe",
    ),
    Case(name="another section that is not there", args=(*RUN, "-n", "nope"), says=r"has no section \[nope\]"),
    Case(name="no env.py", files={"migrations/env.py": None}, says=r"has no env.py", slow=True),
    Case(
        name="an env.py that is a folder",
        files={"migrations/env.py": None},
        make=lambda place: (place.root / "migrations/env.py").mkdir(),
        says=r"has no env.py",
    ),
    Case(
        name="no versions folder",
        files={"migrations/versions/r1.py": None},
        code=0,
        says=r"nothing to test|no revision",
        slow=True,
    ),
    # templates
    Case(name="a template with an unknown field", files=toml('env = { X = "{uri}" }'), says=r"unknown field \{uri\}"),
    Case(name="a template with an open brace", files=toml('env = { X = "{url" }'), says=r"\[tool.neontest.env\] X: "),
    Case(
        name="a template with a lone closing brace",
        files=toml('env = { X = "url}" }'),
        says=r"\[tool.neontest.env\] X: ",
    ),
    Case(
        name="a template with an attribute",
        files=toml('env = { X = "{url.__class__}" }'),
        says=r"unknown field \{url.__class__\}",
        slow=True,
    ),
    Case(name="a template with a format", files=toml('env = { X = "{url!r:>10}" }'), says=r"unknown field \{url"),
    Case(
        name="a template for a file with an unknown field", files=files("a.ini", "{uri}"), says=r"unknown field \{uri\}"
    ),
    Case(name="a file with an absolute path", files=files("/tmp/a", "x"), says=r"a file outside of \{files\}"),
    Case(name="a file above its folder", files=files("../a", "x"), says=r"a file outside of \{files\}", slow=True),
    Case(name="a file without a name", files=files("", "x"), says=r"\[tool.neontest.files\]"),
    Case(name="a file that is the folder itself", files=files(".", "x"), says=r"\[tool.neontest.files\]"),
    Case(name="a file's name of 300 characters", files=files("a" * 300, "x"), says=r"a name has at most 255 bytes"),
    Case(
        name="a file in the place of a folder",
        files={"pyproject.toml": "[tool.neontest.files]\na = ''\n'a/b' = ''\n"},
        says=r"another file stands where its folder would be",
    ),
    # git
    Case(
        name="a base without a repository",
        args=(*RUN, "--base", "main"),
        says=r"is not a git repository that can be read",
    ),
    Case(
        name="a base that git does not know",
        args=(*RUN, "--base", "nope"),
        make=repository(),
        says=r"git knows no nope",
    ),
    Case(
        name="a base that looks like an option",
        args=(*RUN, "--base=--upload-pack=x"),
        make=repository(),
        says=r"cannot be the name of a base branch",
        slow=True,
    ),
    Case(
        name="a base of several lines",
        args=(*RUN, "--base", "a\nb"),
        make=repository(),
        says=r"cannot be the name of a base branch",
        slow=True,
    ),
    Case(
        name="a base that is no text",
        args=(*RUN, "--base", "\udcff"),
        make=repository(),
        says=r"git knows no|cannot be the name",
    ),
    Case(
        name="a shallow clone",
        args=(*RUN, "--base", "main~1"),
        make=shallow,
        says=r"this clone is shallow|in this shallow clone",
    ),
    Case(
        name="a shallow clone with the tip of its base",
        args=(*RUN, "--base", "origin/main"),
        make=shallow,
        says=r"this clone is shallow|in this shallow clone",
        slow=True,
    ),
    Case(
        name="a repository with a broken HEAD",
        args=(*RUN, "--base", "main"),
        make=damaged("HEAD", b"\0\1\2"),
        says=r"is not a git repository",
        slow=True,
    ),
    Case(
        name="a repository with a broken configuration",
        args=(*RUN, "--base", "main"),
        make=damaged("config", b"[core\n"),
        says=r"is not a git repository",
    ),
    Case(
        name="a repository with a broken index",
        args=(*RUN, "--base", "main"),
        make=damaged("index", b"DIRCxxxx"),
        code=0,
        says=r"nothing to test",
    ),
    Case(
        name="a repository without its objects",
        args=(*RUN, "--base", "main"),
        make=no_objects,
        says=r"git knows no main",
    ),
    Case(
        name="a repository without a commit",
        args=(*RUN, "--base", "main"),
        make=lambda place: git(place, "init", "-q", "-b", "main"),
        says=r"git knows no main|HEAD has no commit",
        slow=True,
    ),
    Case(
        name="no git on the PATH",
        args=(*RUN, "--base", "main"),
        make=repository(),
        env={"PATH": "{tmp}"},
        says=r"git is not installed",
    ),
    Case(
        name="a base with a broken revision",
        args=(*RUN, "--base", "main"),
        files={"migrations/versions/r1.py": "revision ="},
        make=mended,
        says=r"the head of main is not known",
    ),
    Case(
        name="a revision to start from that is not there",
        args=(*RUN, "--from-revision", "zzz"),
        says=r'no revision here begins with "zzz"',
    ),
    Case(
        name="a revision to start from that is two",
        args=(*RUN, "--from-revision", "r"),
        files={"migrations/versions/r2.py": revision("r2", "r1")},
        says=r'several revisions begin with "r"',
    ),
)
