"""What the statements of a run leave behind on the server: locks, new files, scans, changed rows, log written.

A part of `worker`, so it runs in the project's interpreter too: Python 3.8, SQLAlchemy 1.3.24 to 2.1, nothing of ours.

It looks with one query on the migration's own connection: right after each statement that changes the schema, and
before a commit if other statements came since. A look goes through the driver, below SQLAlchemy's events; it reads
system catalogs and nothing else. What it means is worked out on neontest's side, in `traced`.
"""

# ruff: noqa: UP006, UP032, UP035, UP045
from __future__ import annotations

import contextlib
import re
import time
import weakref
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Set, Tuple

if TYPE_CHECKING:
    from neontest.migrate import looks
    from neontest.migrate.driver import IDLE, OPEN, Driver
else:
    import neontest_looks as looks  # put there by worker
    from neontest_driver import IDLE, OPEN, Driver

Facts = Dict[str, Any]

KEY = "neontest-trace"
"""In the `info` of a connection: what is known of its transaction."""
BACKEND = "neontest-backend"
DATABASE = "neontest-database"
"""Where the guard puts the server's process, and the database."""
MOST = 5_000
"""Statements of a visit that are looked after one by one."""
MANY = 64
"""Relations that a transaction may have locked until not every statement is looked after, but a few in proportion."""
FEW = 16
"""Relations that it may have locked until their sizes are not looked at."""
LATE = 0.2
"""Seconds after which the next change of the schema is looked after in any case: else locks seem to be old."""
KEPT = 256
"""Statements that are kept to tell what a counter counted."""
HASTY = 0.1
"""Seconds: with a shorter statement_timeout nothing of ours is run, which it would strike, too."""

GAP = r"(?:\s|--[^\n]*(?:\n|\Z)|/\*.*?\*/|\()*"
CHANGES = re.compile(
    r"(?:\A|;)" + GAP + r"(?:create|alter|drop|truncate|comment|grant|revoke|reindex|cluster|refresh|import|security"
    r"|reassign|vacuum)\b",
    re.IGNORECASE | re.DOTALL,
)
"""Changes the schema, or the files of a table."""
ENDS = re.compile(r"\A" + GAP + r"(?:commit|end|abort|prepare\s+transaction|rollback)\b", re.IGNORECASE | re.DOTALL)
"""Ends a transaction, or a part of it: what that did is undone, but files stay as large as they are."""
PREPARES = re.compile(r"\A" + GAP + r"prepare\s+transaction\b", re.IGNORECASE | re.DOTALL)
FORGETS = re.compile(r"\b(?:deallocate|discard)\b", re.IGNORECASE)
"""May drop prepared statements."""
NONE = (0, 0, 0, 0)
"""Counters at the beginning."""
READS = frozenset({"AccessShareLock", "RowShareLock", "RowExclusiveLock"})
"""Modes under which a relation stays what it is."""


class State:
    """One connection: the transaction that is open on it, and how it is asked."""

    def __init__(self, connection: Any) -> None:
        self.driver = Driver(connection)
        self.backend: int = connection.info.get(BACKEND) or self.driver.backend
        self.database: Optional[str] = connection.info.get(DATABASE)
        self.since_15 = connection.dialect.server_version_info >= (15,)
        self.number = 0
        """The transaction's, from 1 in each visit; 0 while none is open, or no statement of a migration ran in it."""
        self.unlooked: List[str] = []
        """Statements since the last look."""
        self.looked = 0.0
        """When the last look ended, or the transaction began."""
        self.failed = False
        self.writes = False
        """It may have written rows."""
        self.hasty = False
        self.parents = False
        """A partition was locked."""
        self.prepared: Dict[looks.Kind, str] = {}
        """How a look is asked."""
        self.counts: Dict[int, Tuple[int, ...]] = {}
        self.told: Set[str] = set()
        """The last look's lines."""
        self.own: Tuple[int, ...] = ()
        """Oids of what is Alembic's."""
        self.locked: Set[int] = set()
        """Oids of what it saw, but for Alembic's."""
        self.stale: List[str] = []
        """Statements whose counters may not have gone to the shared statistics yet."""
        self.known = True
        """Looks tell all of it: nothing of Alembic's is locked to be altered, and it is committed in one phase."""

    def end(self) -> None:
        self.stale.extend(self.unlooked[:KEPT])
        self.number, self.failed, self.known, self.writes = 0, False, True, False
        self.told = set()
        self.locked.clear()
        self.unlooked.clear()


class Trace:
    """Follows the transactions of every connection, and looks."""

    def __init__(self, send: Callable[..., None]) -> None:
        self._send = send
        self._dialects: Any = weakref.WeakSet()
        self._states: List[Any] = []
        self._names = 0
        self.wanted = True
        self.sums = False
        """What is made and deleted in the catalogs of relations is to be counted."""
        self.on = False
        self.transactions = 0
        """Of the visit."""
        self.own: Set[Tuple[Optional[str], str]] = set()
        """Alembic's version table and its index, which are no migration's: schema (None: any) and name."""

    def listen(self) -> None:
        from sqlalchemy import event
        from sqlalchemy.engine import Engine
        from sqlalchemy.pool import Pool

        event.listen(Engine, "commit", self._committing)
        event.listen(Engine, "prepare_twophase", self._preparing)
        event.listen(Engine, "commit_twophase", self._ended)
        event.listen(Engine, "rollback_twophase", self._ended)
        event.listen(Engine, "rollback_savepoint", self._recovered)
        event.listen(Pool, "checkout", self._taken)

    def begin(self, on: bool) -> None:
        """A visit, or its step, begins."""
        self.on, self.transactions = on and self.wanted, 0
        for state in self._states:
            state.end()
            state.stale.clear()
        self._states.clear()

    def heed(self, command: Facts) -> None:
        """What is to be counted may change between two steps."""
        self.sums = command.get("sums", self.sums)

    def spare(self, schema: Optional[str], table: str) -> None:
        """Leave out Alembic's version table."""
        self.own |= {(schema, table), (schema, table + "_pkc")}

    def connected(self, connection: Any) -> None:
        """Have the ends of its transactions timed: there is no event after a commit."""
        dialect = connection.dialect
        if self.wanted and dialect not in self._dialects and dialect.name == "postgresql":
            self._dialects.add(dialect)
            dialect.do_commit = self._timed(dialect.do_commit, False)
            dialect.do_rollback = self._timed(dialect.do_rollback, True)

    # -- around a statement

    def before(self, connection: Any, sql: str) -> int:
        """Say that a migration's statement begins; the number of its transaction, 0 in autocommit."""
        if not self.on or connection.dialect.name != "postgresql":
            return 0
        state = self._state(connection)
        alone = state.driver.autocommit
        if alone:
            self._close(state, False)
        elif ENDS.match(sql):
            if state.unlooked:
                self._look(state, None)
            state.known &= PREPARES.match(sql) is None
        if not alone and not state.number:
            self.transactions += 1
            state.number, state.looked = self.transactions, time.perf_counter()
            if state.since_15:
                state.counts.clear()
            self._states.append(state)
        self._send("began", slow=not alone, backend=state.backend, autocommit=alone)
        return state.number

    def after(self, connection: Any, sql: str, index: int) -> None:
        """A migration's statement has succeeded and been told: look after it if it changes the schema."""
        if not self.on or connection.dialect.name != "postgresql":
            return
        state = self._state(connection)
        state.failed = False
        self._timeouts(state, sql)
        if state.number and state.driver.status == IDLE:  # COMMIT or ROLLBACK by hand
            self._close(state, not re.match(GAP + "(?:commit|end)", sql, re.IGNORECASE | re.DOTALL))
            return
        changes = CHANGES.search(sql) is not None
        state.writes |= CHANGES.match(sql) is None
        if not state.number:
            state.stale = [*state.stale[-KEPT:], sql]
        else:
            state.unlooked.append(sql)
        often = len(state.locked) <= MANY or len(state.unlooked) * (MANY // 16) >= len(state.locked)
        if changes and index <= MOST and (often or time.perf_counter() - state.looked > LATE):
            self._look(state, index)

    def failed(self, connection: Any) -> None:
        if self.on and connection is not None:
            with contextlib.suppress(Exception):
                self._state(connection).failed = True

    # -- transactions

    def _state(self, connection: Any) -> State:
        info = connection.info
        found: Optional[State] = info.get(KEY)
        if found is None:
            found = info[KEY] = State(connection)
        return found

    def _taken(self, driver: Any, record: Any, *_: Any) -> None:
        """Prepare anew on a connection that a pool hands out again: it may have been reset."""
        state = record.info.get(KEY)
        if state is not None:
            state.prepared.clear()

    def _committing(self, connection: Any, *_: Any) -> None:
        if self.on:
            with contextlib.suppress(Exception):
                state = self._state(connection)
                if state.unlooked:
                    self._look(state, None)

    def _preparing(self, connection: Any, *_: Any) -> None:
        self._committing(connection)
        with contextlib.suppress(Exception):
            self._state(connection).known = False

    def _recovered(self, connection: Any, *_: Any) -> None:
        if self.on:
            with contextlib.suppress(Exception):
                self._state(connection).failed = False

    def _ended(self, connection: Any, *_: Any) -> None:
        with contextlib.suppress(Exception):
            self._close(self._state(connection), False)

    def _timed(self, plain: Callable[..., Any], rolled_back: bool) -> Callable[..., Any]:
        def done(connection: Any, *rest: Any) -> Any:
            failed = True
            try:
                result = plain(connection, *rest)
                failed = False
                return result
            finally:
                info = getattr(connection, "info", None)
                state = info.get(KEY) if isinstance(info, dict) else None
                if state is not None:
                    self._close(state, rolled_back or failed)

        return done

    def _close(self, state: State, rolled_back: bool) -> None:
        """The transaction has ended just now."""
        if state.number and self.on:
            facts = {"transaction": state.number, "at": time.perf_counter(), "rolled_back": rolled_back}
            self._send("ended", held=True, known=state.known, **facts)
        state.end()

    def _timeouts(self, state: State, sql: str) -> None:
        state.known &= "track_counts" not in sql.lower()
        if (timeout := looks.timeout(sql)) is not None:
            state.hasty = 0 < timeout < HASTY
        if FORGETS.search(sql):
            state.prepared.clear()

    # -- looking

    def _look(self, state: State, index: Optional[int]) -> None:
        """One round trip. `index`: of the statement that has just run; None before a commit."""
        status = state.driver.status
        in_transaction = status in (OPEN, None) if state.number else status in (IDLE, None) and state.driver.autocommit
        if state.failed or state.hasty or not in_transaction:
            return
        kind = looks.Kind(len(state.locked) <= FEW, state.writes, state.parents, self.sums, state.own)
        known = state.prepared.get(kind, "")
        began = time.perf_counter()
        try:
            first = "" if known else self._first(state, kind)
            lines = state.driver.rows(first or known)
        except Exception as error:  # noqa: BLE001  # it must not become the migration's
            state.hasty = True
            self._send("note", text="a look at the locks failed, and is given up: {}".format(str(error).strip()[:300]))
            return
        now = time.perf_counter()
        if first:
            state.prepared[kind] = first.rpartition("; ")[2] if state.driver.simple else first
        of_all = next(line for line in lines if line.startswith("="))
        head, told = looks.head(of_all), {*lines} - {of_all}
        gone: List[int] = []
        if state.told:
            # Of hundreds of relations few are new, or not locked as before: only those are taken apart.
            other = {looks.relation(line) for line in told ^ state.told}
            seen = looks.seen((line for line in told if looks.relation(line) in other), head.encoding)
            gone = sorted(state.locked.intersection(map(int, other)) - {each.oid for each in seen})
            state.locked.difference_update(gone)
        else:
            seen = looks.seen(told, head.encoding)
        state.parents = state.parents or any(each.part for each in seen)
        relations = self._news(state, [each for each in seen if not self._own(each, state)])
        state.told = told
        self._send(
            "looked", held=True, transaction=state.number, statement=index, at=now, seconds=now - began,
            timeout=head.timeout, wal=head.wal, xid=head.xid, made=head.made, deleted=head.deleted,
            database=state.database, relations=relations, gone=gone,
        )  # fmt: skip
        state.looked = now
        state.unlooked.clear()
        state.stale.clear()

    def _first(self, state: State, kind: looks.Kind) -> str:
        """What is sent the first time on a connection; after its last `; ` is what is sent from then on."""
        self._names += 1
        query = looks.query(kind, since_15=state.since_15)
        # Other drivers prepare it by themselves, and anew where the text is new.
        form = "PREPARE neontest_look_{0} AS {1}; EXECUTE neontest_look_{0}" if state.driver.simple else "{1} -- {0}"
        return form.format(self._names, query)

    def _own(self, one: looks.Seen, state: State) -> bool:
        """It is Alembic's."""
        own = (one.schema, one.name) in self.own or (None, one.name) in self.own
        if own:
            state.known &= READS.issuperset(one.modes)
            if one.oid not in state.own and len(state.own) < FEW:
                state.own += (one.oid,)
        return own

    def _news(self, state: State, seen: List[looks.Seen]) -> List[Tuple[Any, ...]]:
        """What is not as the last look saw it, counters since then, as `reports.Locked` has it."""
        news: List[Tuple[Any, ...]] = []
        for one in seen:
            before = state.counts.get(one.oid, NONE)
            # Counters that a statement of another transaction may have left behind tell nothing.
            if state.stale and one.oid not in state.locked and one.name and any(one.name in sql for sql in state.stale):
                before = one.counts
            since = [now - was if now >= was else now for now, was in zip(one.counts, before)]  # noqa: B905
            state.counts[one.oid] = one.counts
            state.locked.add(one.oid)
            scans, changed = since[0], any(since[1:])
            news.append((one.oid, one.schema, one.name, one.kind, one.node, one.modes, scans, changed, one.size))
        return news
