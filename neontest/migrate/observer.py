"""What a session asks of whoever watches the database from beside, and the one that sees nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

Row = tuple[int, str, str, str, int, int, float, int, int | None, int | None]
"""Oid, schema, name, relkind, file, table that it is a part of, reltuples, relpages, bytes, partitioned table."""


class Relation(Protocol):
    """A relation as it was before the visit."""

    @property
    def name(self) -> str:
        """Qualified and quoted, as the record has it."""

    @property
    def kind(self) -> str:
        """pg_class.relkind."""

    @property
    def node(self) -> int:
        """The number of its file."""

    @property
    def table(self) -> int:
        """Of an index or a toast table: the oid of the table that it belongs to; its own else."""

    @property
    def parent(self) -> int | None:
        """Of a partition: the oid of the partitioned table that it was made for."""

    @property
    def rows(self) -> int | None:
        """Of its own: those of partitions are not a partitioned table's."""

    @property
    def bytes(self) -> int | None:
        """Of its own; None where that was not read."""

    @property
    def parts(self) -> Collection[int]:
        """The oids of its indexes and its toast table."""


class Sampled(Protocol):
    """What was seen of one statement from beside."""

    @property
    def locks(self) -> Collection[tuple[int, str, str, str]]:
        """Oid, name, relkind and mode as pg_locks has it."""

    @property
    def waited(self) -> float:
        """Seconds."""


class Observer(Protocol):
    """Watches the database from a connection of neontest's own."""

    @property
    def known(self) -> Mapping[int, Relation]:
        """By oid, as of the last `begin` or `renew`."""

    @property
    def wal(self) -> int | None:
        """The server's position in its log, as of then."""

    def begin(self) -> None:
        """A visit begins: know what is there."""

    def began(self, backend: int, *, autocommit: bool) -> None:
        """A statement begins in the server's process `backend`."""

    def ended(self) -> Sampled:
        """That statement has ended."""

    def renew(self, oids: Collection[int], *, newer: bool, everything: bool) -> None:
        """The visit is over: read these relations again, and all that are `newer` than those known; or everything."""

    def learn(self, rows: Iterable[Row], *, dropped: Collection[int], grown: Mapping[int, int], wal: int) -> None:
        """The visit is over, and has seen for itself what it left."""

    def implied(self, sql: str) -> Sequence[tuple[int, str, str, str]]:
        """What a statement must lock by its kind: as `Sampled.locks`, oid 0 where it is not known."""


class Nothing:
    """An observer that sees nothing."""

    known: Mapping[int, Relation] = {}
    wal: int | None = None
    locks: tuple[tuple[int, str, str, str], ...] = ()
    waited = 0.0

    def begin(self) -> None: ...

    def began(self, backend: int, *, autocommit: bool) -> None: ...

    def ended(self) -> Nothing:
        return self

    def renew(self, oids: Collection[int], *, newer: bool, everything: bool) -> None: ...

    def learn(self, rows: Iterable[Row], *, dropped: Collection[int], grown: Mapping[int, int], wal: int) -> None: ...

    def implied(self, sql: str) -> Sequence[tuple[int, str, str, str]]:
        return ()
