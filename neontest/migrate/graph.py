"""The graph of revisions: what is wrong with it, its heads, and the order in which Alembic applies it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from neontest.record import Fault, Revision


class Graph:
    """Revisions by id, with dependencies resolved as Alembic resolves them.

    Links to revisions that do not exist are left out here; `faults` names them. Of two revisions with one id the
    later file counts, as in Alembic.
    """

    def __init__(self, revisions: Iterable[Revision]) -> None:
        """`revisions` come in the order of their files, which decides between heads."""
        self.all = tuple(revisions)
        self.by_id = {revision.id: revision for revision in self.all}
        labels = {label: revision.id for revision in self.all for label in revision.labels}
        self._named = {**labels, **{id_: id_ for id_ in self.by_id}}
        self.down = {
            id_: tuple(parent for parent in revision.down if parent in self.by_id)
            for id_, revision in self.by_id.items()
        }
        self.needs = {
            id_: tuple(dict.fromkeys(self._named[name] for name in revision.depends_on if name in self._named))
            for id_, revision in self.by_id.items()
        }
        self._parents: dict[str, tuple[str, ...]] | None = None
        self._ancestors: dict[str, int] = {}
        self._bit = {id_: 1 << index for index, id_ in enumerate(self.by_id)}

    def heads(self) -> tuple[str, ...]:
        """What `alembic heads` lists: revisions that are nobody's down_revision, in the order of their files."""
        parents = {parent for downs in self.down.values() for parent in downs}
        return tuple(id_ for id_ in self.by_id if id_ not in parents)

    def effective_heads(self) -> tuple[str, ...]:
        """What `upgrade heads` goes to and leaves in the version table: heads that nothing depends on either."""
        needed = {need for needs in self.needs.values() for need in needs}
        return tuple(id_ for id_ in self.heads() if id_ not in needed)

    def ordered(self) -> tuple[Revision, ...]:
        """All revisions, parents and dependencies first, else in the order of their files; sound or not."""
        done: dict[str, None] = {}
        for first in self.by_id:
            stack = [(first, False)]
            opened: set[str] = set()
            while stack:
                id_, ready = stack.pop()
                if ready:
                    done.setdefault(id_)
                elif id_ not in done and id_ not in opened:
                    opened.add(id_)
                    stack.append((id_, True))
                    stack.extend((parent, False) for parent in reversed((*self.down[id_], *self.needs[id_])))
        return tuple(self.by_id[id_] for id_ in done)

    def applied(self, ids: Iterable[str]) -> frozenset[str]:
        """These revisions, and all that they need."""
        seen: set[str] = set()
        todo = list(ids)
        while todo:
            id_ = todo.pop()
            if id_ not in seen:
                seen.add(id_)
                todo.extend((*self.down[id_], *self.needs[id_]))
        return frozenset(seen)

    def upgrade_order(self, start: Sequence[str]) -> tuple[str, ...]:
        """The ids that `upgrade heads` runs from `start`, in Alembic's order; the graph has no cycle.

        Alembic goes from the heads downward and reverses it: it follows one line as far as no other open line needs
        the revision first, then goes on with the line that does. Where a revision has several dependencies,
        Alembic's own order varies with Python's hash seed; here it is that of the file.
        """
        heads = self.effective_heads()
        todo = self.applied(heads) - self.applied(start)
        left = set(todo)
        tips = [head for head in heads if head in left]
        order: list[str] = []
        at = 0
        while tips:
            tip = tips[at]
            bit = self._bit[tip]
            waiting = (i for i, other in enumerate(tips) if i != at and self._above(other) & bit)
            if (first := next(waiting, None)) is not None:
                at = first
                continue
            if tip in left:
                left.remove(tip)
                order.append(tip)
            further = [parent for parent in self._shown_parents()[tip] if parent in left and parent not in tips]
            if further:
                tips[at] = further[0]
                tips.extend(further[1:])
            else:
                del tips[at]
                at = max(at - 1, 0)
        return tuple(reversed(order))

    def faults(self) -> tuple[Fault, ...]:
        """Duplicates, missing parents and cycles, in the order of the files."""
        return (*self._duplicates(), *self._missing(), *self._cycles())

    def _shown_parents(self) -> dict[str, tuple[str, ...]]:
        """down_revision, then those dependencies that no ancestor already has: what Alembic follows in its order."""
        if self._parents is None:
            inherited: dict[str, frozenset[str]] = {}
            self._parents = {}
            for revision in self.ordered():
                id_ = revision.id
                above = [inherited.get(parent, frozenset()) | set(self.needs[parent]) for parent in self.down[id_]]
                inherited[id_] = frozenset().union(*above)
                own = tuple(need for need in self.needs[id_] if need not in inherited[id_])
                self._parents[id_] = tuple(dict.fromkeys((*self.down[id_], *own)))
        return self._parents

    def _above(self, id_: str) -> int:
        """The revision and its ancestors, as a set of bits."""
        if not self._ancestors:
            for revision in self.ordered():
                bits = self._bit[revision.id]
                for parent in self._shown_parents()[revision.id]:
                    bits |= self._ancestors.get(parent, 0)
                self._ancestors[revision.id] = bits
        return self._ancestors[id_]

    def _duplicates(self) -> Iterable[Fault]:
        first: dict[str, Revision] = {}
        labelled: dict[str, Revision] = {}
        for revision in self.all:
            if (other := first.setdefault(revision.id, revision)) is not revision:
                yield _fault("duplicate", f"revision {revision.id} is in two files: {other.file} and", revision)
        for revision in self.all:
            for label in revision.labels:
                other = labelled.setdefault(label, revision)
                if other is not revision and other.id != revision.id:
                    yield _fault("duplicate", f"branch label {label!r} is in two files: {other.file} and", revision)
                elif label in self.by_id:
                    yield _fault(
                        "duplicate", f"branch label {label!r} is also the id of a revision; it is in", revision
                    )

    def _missing(self) -> Iterable[Fault]:
        for revision in self.all:
            for name, wanted, known in (
                ("down_revision", revision.down, self.by_id),
                ("depends_on", revision.depends_on, self._named),
            ):
                for id_ in wanted:
                    if id_ not in known:
                        yield Fault(
                            kind="missing-parent",
                            message=f"{name} of {revision.id} is {id_!r}, which no file has{self._meant(id_)}",
                            revision=revision.id,
                            file=revision.file,
                            line=revision.line,
                        )

    def _meant(self, id_: str) -> str:
        """The whole id, where a shortened one was given: Alembic's command line takes that, its files do not."""
        longer = [known for known in self.by_id if id_ and known.startswith(id_)]
        if len(longer) == 1:
            return f" (it must be the whole id: {longer[0]!r})"
        if id_ in self._named:
            return f" (a branch label; the revision is {self._named[id_]!r})"
        return ""

    def _cycles(self) -> Iterable[Fault]:
        free: set[str] = set()
        for revision in self.ordered():  # parents come first, unless a circle is above
            if free.issuperset((*self.down[revision.id], *self.needs[revision.id])):
                free.add(revision.id)
        left = [id_ for id_ in self.by_id if id_ not in free]
        told: set[str] = set()
        for first in left:
            path: list[str] = []
            id_ = first
            while id_ not in path and id_ not in told:
                path.append(id_)
                id_ = next(parent for parent in (*self.down[id_], *self.needs[id_]) if parent not in free)
            if id_ not in told:
                ring = path[path.index(id_) :]
                shown = " → ".join((*ring, ring[0]))
                what = f"revision {id_} is its own parent" if len(ring) == 1 else f"revisions in a circle: {shown}"
                yield _fault("cycle", f"{what}, in", self.by_id[id_])
            told.update(path)


def _fault(kind: str, message: str, revision: Revision) -> Fault:
    assert kind in ("duplicate", "cycle")
    return Fault(
        kind="cycle" if kind == "cycle" else "duplicate",
        message=f"{message} {revision.file}",
        revision=revision.id,
        file=revision.file,
        line=revision.line,
    )
