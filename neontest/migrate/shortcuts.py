"""Alembic's bookkeeping without what it works out anew at each revision: the same statements, and the same heads.

A part of `worker`, so it runs in the project's interpreter too: Python 3.8, Alembic 1.8 to 1.20, nothing of ours.

A fifth of a long walk went into two things. `UPDATE alembic_version` has the revisions in its text, so SQLAlchemy
compiles it each time; and since 1.12 each step down reads all that is below it, which grows with the square.
"""

# ruff: noqa: UP006, UP035, UP045
from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any, Callable, List, Optional, Set, Tuple

if TYPE_CHECKING:
    from neontest.migrate import watch

PLAIN = re.compile(r"[\w.-]+", re.ASCII)
"""Revisions that are the same in any SQL."""
FROM, TO = "\0from", "\0to"
"""Stand for them in a statement, which has no such character."""
OURS = (2, 1)
"""How many listeners before and after a statement are the worker's: those of `watch` and of this file."""
KNOWN = "neontest_update"
"""Where a HeadMaintainer keeps its statement."""


class Shortcuts:
    """Takes the place of two methods of Alembic's, and lets them do whatever is not as usual."""

    def __init__(self, watching: watch.Watch) -> None:
        self._watch = watching
        self._heard: Optional[Tuple[Any, List[Tuple[str, bool]]]] = None
        self._exec: Any = None
        """Alembic's own, before any code of the project could change it."""
        self._asks: Any = None
        """Whose statement it is, unless somebody else does as Alembic does."""
        self._clause: Any = None
        self._connection: Any = None

    def listen(self) -> None:
        from alembic.ddl.impl import DefaultImpl
        from alembic.runtime import migration
        from sqlalchemy import event
        from sqlalchemy.engine import Connection, Engine
        from sqlalchemy.sql.dml import Update

        self._clause, self._connection = Update, Connection
        event.listen(Engine, "before_cursor_execute", self._hear)
        self._exec = DefaultImpl._exec
        self._asks = migration.MigrationContext.run_migrations.__code__
        maintainer: Any = migration.HeadMaintainer
        maintainer._update_version = self.updating(maintainer._update_version)
        step: Any = migration.RevisionStep
        step._unmerge_to_revisions = unmerging(step._unmerge_to_revisions)

    def _hear(self, connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        heard = self._heard
        if heard is not None and heard[0] is connection:
            heard[1].append((statement, bool(parameters)))

    def updating(self, plain: Callable[[Any, str, str], None]) -> Callable[[Any, str, str], None]:
        """Of a run of env.py Alembic sends the first update; the others are that one with other revisions."""

        def update(maintainer: Any, from_: str, to_: str) -> None:
            context, heads = maintainer.context, maintainer.heads
            usual = PLAIN.fullmatch(from_) and PLAIN.fullmatch(to_) and from_ in heads and to_ not in heads
            known = getattr(maintainer, KNOWN, None)
            if not usual or known == "" or not self._direct(context):
                plain(maintainer, from_, to_)
            elif known is None:
                setattr(maintainer, KNOWN, self._learnt(plain, maintainer, from_, to_))
            else:
                statement = known.replace(FROM, quoted(from_)).replace(TO, quoted(to_))
                caller = sys._getframe(1).f_back
                if caller is not None and caller.f_code is self._asks:
                    self._watch.asks = context.impl.connection
                try:
                    done = context.impl.connection.exec_driver_sql(statement)
                finally:
                    self._watch.asks = None
                if done.rowcount == 1:
                    maintainer.heads = (heads - {from_}) | {to_}
                    return
                context.impl._exec = lambda *_, **__: done  # it is sent, and Alembic says what is wrong with it
                try:
                    plain(maintainer, from_, to_)
                finally:
                    del context.impl._exec

        return update

    def _learnt(self, plain: Callable[[Any, str, str], None], maintainer: Any, from_: str, to_: str) -> str:
        """The statement that Alembic sent, without its revisions; "" where it is more than that."""
        heard: List[Tuple[str, bool]] = []
        self._heard = (maintainer.context.impl.connection, heard)
        try:
            plain(maintainer, from_, to_)
        finally:
            self._heard = None
        statement, with_parameters = heard[0] if len(heard) == 1 else ("", True)
        if with_parameters or any(statement.count(quoted(name)) != 1 for name in (from_, to_)):
            return ""
        return statement.replace(quoted(from_), FROM).replace(quoted(to_), TO)

    def _direct(self, context: Any) -> bool:
        """Nobody is to see, or to change, what SQLAlchemy makes of the statement: it is Alembic's text that is sent."""
        connection = context.impl.connection
        if type(connection) is not self._connection or "do_execute" in vars(connection.dialect):
            return False
        if context.as_sql or context.dialect.name != "postgresql" or not hasattr(connection, "exec_driver_sql"):
            return False
        if (
            type(context.impl)._exec is not self._exec
            or "_exec" in vars(context.impl)
            or hasattr(self._clause, "_compiler_dispatcher")
        ):
            return False
        listeners = connection.dispatch
        theirs = listeners.before_execute or listeners.after_execute
        theirs = (
            theirs or len(listeners.before_cursor_execute) > OURS[0] or len(listeners.after_cursor_execute) > OURS[1]
        )
        return not (theirs or connection.get_execution_options().get("schema_translate_map"))


def quoted(revision: str) -> str:
    return "'" + revision + "'"


def unmerging(plain: Callable[[Any, Set[str]], Tuple[str, ...]]) -> Callable[[Any, Set[str]], Tuple[str, ...]]:
    """What is left of a step down: its one parent, where nothing else is there that could have that one below."""

    def unmerge(step: Any, heads: Set[str]) -> Tuple[str, ...]:
        parents = tuple(step.to_revisions)
        return parents if len(parents) == 1 and set(heads) == {step.revision.revision} else plain(step, heads)

    return unmerge
