"""Whether anybody has used the branch's database, asked of a real server."""

from __future__ import annotations

from contextlib import closing
from types import SimpleNamespace
from typing import Any, cast

from neontest.postgres.connect import connect
from neontest.postgres.model import Snapshot
from neontest.stop import Stop
from neontest.testing import Seen, use


def test_a_session_counts_that_is_new_or_was_at_work_since(postgres_url: str) -> None:
    with closing(connect(postgres_url)) as mine, closing(connect(postgres_url)) as pooled:
        trial = cast(Any, SimpleNamespace(connection=mine))

        def seen() -> Seen:
            moment, sessions, _ = use(trial)
            schema = cast(Snapshot, None)
            return Seen(schema=schema, revisions=(), tables=frozenset(), moment=moment, sessions=sessions)

        with pooled.cursor() as cursor:
            cursor.execute("SELECT 1")
        before = seen()
        assert before.unused(trial, Stop())
        with pooled.cursor() as cursor:  # as a pooler does, whose session was there before
            cursor.execute("SELECT 1")
        assert not before.unused(trial, Stop())
        before = seen()
        connect(postgres_url).close()
        assert not before.unused(trial, Stop())
