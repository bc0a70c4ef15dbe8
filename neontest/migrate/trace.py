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
    from neontest.migrate.driver import IDLE, OPEN, Driver, decoded
else:
    from neontest_driver import IDLE, OPEN, Driver, decoded  # put there by worker

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
LATE = 0.2
"""Seconds after which the next change of the schema is looked after in any case: else locks seem to be old."""
KEPT = 256
"""Statements that are kept to tell what a counter counted."""
HASTY = 100
"""Milliseconds: with a shorter statement_timeout nothing of ours is run, which it would strike, too."""

GAP = r"(?:\s|--[^\n]*(?:\n|\Z)|/\*.*?\*/|\()*"
CHANGES = re.compile(
    r"(?:\A|;)" + GAP + r"(?:create|alter|drop|truncate|comment|grant|revoke|reindex|cluster|refresh|import|security"
    r"|reassign|vacuum)\b",
    re.IGNORECASE | re.DOTALL,
)
"""Changes the schema, or the files of a table."""
ENDS = re.compile(
    r"\A" + GAP + r"(?:commit|end|abort|prepare\s+transaction|rollback(?!\s+(?:work\s+|transaction\s+)?to\b))\b",
    re.IGNORECASE | re.DOTALL,
)
PREPARES = re.compile(r"\A" + GAP + r"prepare\s+transaction\b", re.IGNORECASE | re.DOTALL)
FORGETS = re.compile(r"\b(?:deallocate|discard)\b", re.IGNORECASE)
"""May drop prepared statements."""
LIMIT = re.compile(r"statement_timeout'?\s*(?:=|to|,)\s*'?(\d+)\s*(us|ms|s|min|h|d)?\b", re.IGNORECASE)
TOAST = re.compile(r"pg_toast_([0-9]+)\Z")
INTERVAL = re.compile(r"(\d+)\s*(us|ms|s|min|h|d)?\Z")
SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}

# Every name is qualified: the migration may have any search_path, with functions and operators of its own. Names come
# as hexadecimal bytes of the server's encoding: it is not said that another has all characters. There is no `%`,
# `:name` or `?` that a driver could take for a parameter.
QUERY = """
SELECT pg_catalog.concat_ws(' ', '=', pg_catalog.getdatabaseencoding(), pg_catalog.current_setting('lock_timeout'),
  pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), '0/0'){counted})
UNION ALL SELECT pg_catalog.concat_ws(' ', l.relation, l.modes, pg_catalog.pg_stat_get_xact_numscans(l.relation),
  pg_catalog.pg_stat_get_xact_tuples_inserted(l.relation), pg_catalog.pg_stat_get_xact_tuples_updated(l.relation),
  pg_catalog.pg_stat_get_xact_tuples_deleted(l.relation),
  (SELECT pg_catalog.concat_ws(' ', c.relkind, c.relfilenode,
      pg_catalog.encode(pg_catalog.convert_to(n.nspname::pg_catalog.text, pg_catalog.getdatabaseencoding()), 'hex'),
      pg_catalog.encode(pg_catalog.convert_to(c.relname::pg_catalog.text, pg_catalog.getdatabaseencoding()), 'hex'),
      CASE WHEN l.relations OPERATOR(pg_catalog.<=) 16 AND l.modes OPERATOR(pg_catalog.<>) 'AccessShareLock' THEN
        pg_catalog.concat_ws(' ', c.reltuples, c.relpages,
          pg_catalog.has_table_privilege(session_user, c.oid, 'SELECT'),
          coalesce(CASE WHEN c.relkind OPERATOR(pg_catalog.=) 'i' OR c.relkind OPERATOR(pg_catalog.=) 'I' THEN
            (SELECT i.indrelid FROM pg_catalog.pg_index i WHERE i.indexrelid OPERATOR(pg_catalog.=) c.oid) END, c.oid),
          coalesce(CASE WHEN c.relispartition THEN (SELECT h.inhparent FROM pg_catalog.pg_inherits h
            WHERE h.inhrelid OPERATOR(pg_catalog.=) c.oid) END, 0),
          CASE WHEN c.relkind OPERATOR(pg_catalog.=) 'r' OR c.relkind OPERATOR(pg_catalog.=) 'm' THEN
            pg_catalog.concat_ws(' ', pg_catalog.pg_relation_size(c.oid), pg_catalog.pg_total_relation_size(c.oid))
          END) END)
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
    WHERE c.oid OPERATOR(pg_catalog.=) l.relation))
FROM (SELECT s.relation, pg_catalog.string_agg(s.mode, ',' ORDER BY s.mode) AS modes,
    pg_catalog.count(*) OVER () AS relations
  FROM pg_catalog.pg_lock_status() s
  WHERE s.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() AND s.granted
    AND s.locktype OPERATOR(pg_catalog.=) 'relation'::pg_catalog.text
    AND s.relation OPERATOR(pg_catalog.>=) '16384'::pg_catalog.oid
  GROUP BY s.relation) l
"""
COUNTED = """,
  coalesce(CASE WHEN pg_catalog.current_setting('track_counts') OPERATOR(pg_catalog.=) 'on'
    THEN pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text END, '-'),
  (SELECT pg_catalog.concat_ws(' ', pg_catalog.sum(pg_catalog.pg_stat_get_xact_tuples_inserted(c)
      OPERATOR(pg_catalog.+) pg_catalog.pg_stat_get_xact_tuples_updated(c)),
      pg_catalog.sum(pg_catalog.pg_stat_get_xact_tuples_deleted(c)))
    FROM pg_catalog.unnest('{{{catalogs}}}'::pg_catalog.regclass[]) c),
  pg_catalog.pg_stat_force_next_flush()"""
"""Has the counters go to the shared statistics when the transaction ends, so that the next one's begin at 0. And which
transaction it is, how many rows it has made in the catalogs of relations and deleted there. Since Postgres 15."""
CATALOGS = """pg_class pg_attribute pg_constraint pg_index pg_type pg_enum pg_trigger pg_rewrite pg_policy
  pg_statistic_ext pg_sequence pg_inherits pg_partitioned_table pg_foreign_table pg_description"""
"""Those of relations, enums and domains."""
READS = frozenset({"AccessShareLock", "RowShareLock", "RowExclusiveLock"})
"""Modes under which a relation stays what it is."""


class State:
    """One connection: the transaction that is open on it, and how it is asked."""

    def __init__(self) -> None:
        self.number = 0
        """The transaction's, from 1 in each visit; 0 while none is open, or no statement of a migration ran in it."""
        self.unlooked: List[str] = []
        """Statements since the last look."""
        self.looked = 0.0
        """When the last look ended, or the transaction began."""
        self.failed = False
        self.hasty = False
        self.prepared = ""
        self.counts: Dict[int, Tuple[int, ...]] = {}
        self.told: Set[str] = set()
        """The last look's lines."""
        self.locked: Set[int] = set()
        """Oids of what it saw, but for Alembic's."""
        self.stale: List[str] = []
        """Statements whose counters may not have gone to the shared statistics yet."""
        self.known = True
        """Looks tell all of it: nothing of Alembic's is locked to be altered, and it is committed in one phase."""

    def end(self) -> None:
        self.stale.extend(self.unlooked[:KEPT])
        self.number, self.failed, self.known = 0, False, True
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
        state, driver = self._state(connection), Driver(connection)
        alone = driver.autocommit
        if alone:
            self._close(state, False)
        elif ENDS.match(sql):
            self._look(connection, state, driver, None)
            state.known &= PREPARES.match(sql) is None
        if not alone and not state.number:
            self.transactions += 1
            state.number, state.looked = self.transactions, time.perf_counter()
            if connection.dialect.server_version_info >= (15,):
                state.counts.clear()
            self._states.append(state)
        self._send("began", held=not alone, backend=connection.info.get(BACKEND) or driver.backend, autocommit=alone)
        return state.number

    def after(self, connection: Any, sql: str, index: int) -> None:
        """A migration's statement has succeeded and been told: look after it if it changes the schema."""
        if not self.on or connection.dialect.name != "postgresql":
            return
        state, driver = self._state(connection), Driver(connection)
        state.failed = False
        self._timeouts(state, sql)
        if state.number and driver.status == IDLE:  # COMMIT or ROLLBACK by hand
            self._close(state, not re.match(GAP + "(?:commit|end)", sql, re.IGNORECASE | re.DOTALL))
            return
        changes = CHANGES.search(sql) is not None
        if not state.number:
            state.stale = [*state.stale[-KEPT:], sql]
        else:
            state.unlooked.append(sql)
        often = len(state.locked) <= MANY or len(state.unlooked) * (MANY // 16) >= len(state.locked)
        if changes and index <= MOST and (often or time.perf_counter() - state.looked > LATE):
            self._look(connection, state, driver, index)

    def failed(self, connection: Any) -> None:
        if self.on and connection is not None:
            with contextlib.suppress(Exception):
                self._state(connection).failed = True

    # -- transactions

    def _state(self, connection: Any) -> State:
        found: State = connection.info.setdefault(KEY, None) or State()
        connection.info[KEY] = found
        return found

    def _taken(self, driver: Any, record: Any, *_: Any) -> None:
        """Prepare anew on a connection that a pool hands out again: it may have been reset."""
        state = record.info.get(KEY)
        if state is not None:
            state.prepared = ""

    def _committing(self, connection: Any, *_: Any) -> None:
        if self.on:
            with contextlib.suppress(Exception):
                state = self._state(connection)
                if state.unlooked:
                    self._look(connection, state, Driver(connection), None)

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
        lower = sql.lower()
        state.known &= "track_counts" not in lower
        if "timeout" in lower:
            for value, unit in LIMIT.findall(sql):
                milliseconds = int(value) * SECONDS[unit.lower() or "ms"] * 1000
                state.hasty = 0 < milliseconds < HASTY
        if FORGETS.search(sql):
            state.prepared = ""

    # -- looking

    def _look(self, connection: Any, state: State, driver: Driver, index: Optional[int]) -> None:
        """One round trip. `index`: of the statement that has just run; None before a commit."""
        status = driver.status
        in_transaction = status in (OPEN, None) if state.number else status in (IDLE, None) and driver.autocommit
        if state.failed or state.hasty or not in_transaction:
            return
        began = time.perf_counter()
        try:
            lines = driver.rows(self._query(connection, state, driver))
        except Exception as error:  # noqa: BLE001  # it must not become the migration's
            state.hasty = True
            self._send("note", text="a look at the locks failed, and is given up: {}".format(str(error).strip()[:300]))
            return
        now = time.perf_counter()
        _, encoding, *head = next(line for line in lines if line.startswith("=")).split(" ")
        body = [line for line in lines if not line.startswith("=")]
        # Of hundreds of relations few are new: only those are taken apart.
        fresh = {oid_of(line): line for line in body if line not in state.told}
        told = set(body)
        gone = sorted(oid for oid in map(oid_of, state.told - told) if oid in state.locked and oid not in fresh)
        parsed = [self._parsed(line, state, encoding) for line in fresh.values()]
        relations = self._news(state, [found for found in parsed if found is not None])
        state.told = told
        state.locked.difference_update(gone)
        xid = int(head[2]) if len(head) > 2 and head[2] != "-" else None
        made, deleted = map(int, head[3:5]) if xid is not None else (0, 0)
        facts: Facts = {"transaction": state.number, "statement": index, "at": now, "seconds": now - began}
        facts.update(timeout=interval(head[0]), wal=int(head[1]), relations=relations, gone=gone)
        facts.update(xid=xid, made=made, deleted=deleted, database=connection.info.get(DATABASE))
        self._send("looked", held=True, **facts)
        state.looked = now
        state.unlooked.clear()
        state.stale.clear()

    def _query(self, connection: Any, state: State, driver: Driver) -> str:
        if state.prepared:
            return state.prepared
        catalogs = ", ".join("pg_catalog." + name for name in CATALOGS.split())
        since_15 = connection.dialect.server_version_info >= (15,)
        query = QUERY.format(counted=COUNTED.format(catalogs=catalogs) if since_15 else "")
        self._names += 1
        if not driver.simple:  # the driver prepares it by itself, and anew where the text is new
            state.prepared = "{} -- {}".format(query.strip(), self._names)
            return state.prepared
        name = "neontest_look_{}".format(self._names)
        state.prepared = "EXECUTE " + name
        return "PREPARE {} AS {}; {}".format(name, query, state.prepared)

    def _parsed(self, line: str, state: State, encoding: str) -> Optional[Tuple[Any, ...]]:
        """Oid, modes, counters, kind, file number, schema and name, size; None for what is Alembic's."""
        part = line.split(" ")
        kind, node, schema, name = "", 0, "", ""
        if len(part) >= 10:
            kind, node = part[6], int(part[7])
            schema, name = (decoded(bytes.fromhex(each), encoding) for each in part[8:10])
            if (schema, name) in self.own or (None, name) in self.own:
                state.known &= READS.issuperset(part[1].split(","))
                return None
        return int(part[0]), part[1].split(","), tuple(map(int, part[2:6])), kind, node, schema, name, part[10:]

    def _news(self, state: State, seen: List[Tuple[Any, ...]]) -> List[Facts]:
        """What is not as the last look saw it, counters since then."""
        news = []
        for oid, modes, counts, kind, node, schema, name, size in seen:
            before = state.counts.get(oid, (0, 0, 0, 0))
            # Counters that a statement of another transaction may have left behind tell nothing.
            if oid not in state.locked and name and any(name in sql for sql in state.stale):
                before = counts
            since = [now - was if now >= was else now for now, was in zip(counts, before)]  # noqa: B905
            state.counts[oid] = counts
            state.locked.add(oid)
            fact = {"oid": oid, "schema": schema, "name": name, "kind": kind, "node": node, "modes": modes}
            news.append(dict(fact, scans=since[0], changed=any(since[1:]), size=sized(oid, kind, name, size)))
        return news


def oid_of(line: str) -> int:
    return int(line.split(" ", 1)[0])


def sized(oid: int, kind: str, name: str, part: List[str]) -> Optional[Facts]:
    """What the statistics and the files of a relation say; None where many are locked, or it is only read."""
    if not part:
        return None
    toast = TOAST.match(name) if kind == "t" else None
    table = int(toast.group(1)) if toast else int(part[3])
    files: List[Any] = [int(each) for each in part[5:]] or [None, None]
    facts: Facts = {"tuples": float(part[0]), "pages": int(part[1]), "readable": part[2] == "t", "table": table}
    parent = int(part[4]) if table == oid else 0
    return dict(facts, parent=parent or None, bytes=files[0], total=files[1])


def interval(text: str) -> float:
    """Seconds of a setting such as `5s` or `100ms`."""
    found = INTERVAL.match(text)
    return int(found.group(1)) * SECONDS[found.group(2) or "ms"] if found else 0.0
