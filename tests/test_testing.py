"""Whether anybody has used the branch's database, asked of a real server."""

from __future__ import annotations

from contextlib import closing
from types import SimpleNamespace
from typing import Any, cast

import pytest

from neontest.postgres.connect import connect
from neontest.postgres.snapshot import Reader
from neontest.stop import Stop
from neontest.testing import Seen, use


def test_a_session_counts_that_is_new_or_was_at_work_since(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neontest.postgres.snapshot._LARGE", 0)
    with closing(connect(postgres_url)) as mine, closing(connect(postgres_url)) as pooled:
        reader = Reader(mine, postgres_url)  # whose second connection is nobody's
        trial = cast(Any, SimpleNamespace(connection=mine, reader=reader))

        def seen() -> Seen:
            moment, sessions, _ = use(trial)
            assert len(reader.backends()) == 2
            return Seen(schema=reader.snapshot(), revisions=(), tables=frozenset(), moment=moment, sessions=sessions)

        with pooled.cursor() as cursor:
            cursor.execute("SELECT 1")
        before = seen()
        reader._last = None
        reader.snapshot()  # half of it over the second connection
        assert before.unused(trial, Stop())
        with pooled.cursor() as cursor:  # as a pooler does, whose session was there before
            cursor.execute("SELECT 1")
        assert not before.unused(trial, Stop())
        before = seen()
        connect(postgres_url).close()
        assert not before.unused(trial, Stop())
        reader.close()
