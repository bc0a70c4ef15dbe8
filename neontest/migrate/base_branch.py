"""What the base branch has of the revisions that are here, and what a merge with it would make of them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

import msgspec

from neontest.migrate import git, history, scripts
from neontest.migrate.graph import Graph
from neontest.migrate.project import Project
from neontest.record import History, Revision

_ById: TypeAlias = dict[str, tuple[Revision, bytes]]
"""The revision and its file's content."""

_NONE: Final = (None, b"")


def compared(project: Project, found: History, ref: str, *, environ: Mapping[str, str]) -> History:
    """The history, with `on_base`, `edited` and `merged_heads` as the base branch `ref` makes them.

    The base branch has what it had where HEAD left it, and what came to it since: a revision that was merged there
    in another way, such as by a squash, is on it too.

    Raises:
        UsageError: no git, no repository, no such ref, or too little history fetched to know.
    """
    base = git.base(project, ref, environ=environ)
    here = dict(history.read_sources(project, project.version_locations))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # such as SyntaxWarning for "\d" in a migration
        left = _read(base.left, here, found)
        tip = left if base.tip is base.left else _read(base.tip, here, found)
        edited = tuple(each.id for each in found.revisions if _edited(each, here.get(each.file), left, tip))
    merged = () if tip is left else _merged_heads(found, left, tip)
    return msgspec.structs.replace(found, on_base=tuple({**left, **tip}), edited=edited, merged_heads=merged)


def _read(sources: Iterable[tuple[str, bytes]], here: Mapping[str, bytes], found: History) -> _ById:
    """The revisions in the base branch's files; a file that is the same here is not read again."""
    known = {each.file: each for each in found.revisions}
    read: _ById = {}
    for name, source in sources:
        if name in known and here.get(name) == source:
            read[known[name].id] = known[name], source
        elif isinstance(revision := scripts.parse(source, name), Revision):
            read[revision.id] = revision, source
    return read


def _edited(revision: Revision, source: bytes | None, *sides: _ById) -> bool:
    """The base branch has the revision, and never had it as it is here."""
    versions = [side[revision.id][1] for side in sides if revision.id in side]
    return source is not None and bool(versions) and not any(scripts.same(source, each) for each in versions)


def _merged_heads(found: History, left: _ById, tip: _ById) -> tuple[str, ...]:
    """The heads after a merge: what this branch did not change since they parted is as the base branch has it now."""
    ours = {each.id: each for each in found.revisions}
    merged: list[Revision] = []
    for id_ in {**ours, **tip}:
        mine, theirs = ours.get(id_), tip.get(id_, _NONE)[0]
        chosen = theirs if _links(mine) == _links(left.get(id_, _NONE)[0]) else mine
        if chosen is not None:
            merged.append(chosen)
    return Graph(merged).heads()


def _links(revision: Revision | None) -> tuple[tuple[str, ...], ...] | None:
    return None if revision is None else (revision.down, revision.depends_on, revision.labels)
