"""The checks over locks and time judge hand-made records; tests/cases has the real projects."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from neontest import checks
from neontest.locks import INVENTED, stages
from neontest.postgres.data import Filled
from neontest.postgres.indexes import UnindexedKey
from neontest.record import Failure, History, Limits, Lock, Record, Revision, Statement, Visit, Walk
from neontest.report import Finding, Level

ADD = "ALTER TABLE users ADD COLUMN age INTEGER"
INDEX = "CREATE INDEX ix_users_name ON users (name)"
UPDATE = "UPDATE users SET age = 0"
TYPE = "ALTER TABLE users ALTER COLUMN age TYPE BIGINT"
VALIDATED = "ALTER TABLE users ADD CONSTRAINT adults CHECK (age >= 18)"
MODE = "ACCESS EXCLUSIVE"


def lock(relation: str = "public.users", mode: str = MODE, **facts: Any) -> Lock:
    return Lock(**{"relation": relation, "mode": mode, "rows": 51_000, "timeout_seconds": 5.0, **facts})


def statement(sql: str, *locks: Lock, **facts: Any) -> Statement:
    place = {"file": "versions/r1.py", "line": 8, "revision": "r1", "transaction": 1}
    return Statement(**{"sql": sql, "seconds": 0.1, "locks": locks, **place, **facts})


def upgrade(*statements: Statement, **facts: Any) -> Visit:
    return Visit(**{"direction": "upgrade", "from_": None, "to": "r1", "statements": statements, **facts})


def downgrade(*statements: Statement, **facts: Any) -> Visit:
    return Visit(**{"direction": "downgrade", "from_": "r1", "to": None, "statements": statements, **facts})


def whole(*visits: Visit, **facts: Any) -> Walk:
    return Walk(kind="whole", visits=visits, **facts)


def stairs(*visits: Visit, revision: str = "r1", **facts: Any) -> Walk:
    return Walk(kind="stairway", revision=revision, visits=visits, **facts)


def record(*walks: Walk, pending: tuple[str, ...] = ("r1",), **facts: Any) -> Record:
    known = tuple(
        Revision(id=id, file=f"versions/{id}.py", line=3, upgrade_line=7, downgrade_line=11) for id in pending
    )
    history = History(heads=pending[-1:], pending=pending, revisions=known)
    return Record(**{"engine": "local", "history": history, "walks": walks, **facts})


def judged(check: str, given: Record) -> tuple[Finding, ...]:
    return tuple(each for each in checks.judge(given) if each.check == check)


def only(check: str, given: Record) -> Finding:
    (finding,) = judged(check, given)
    return finding


def deploy(*statements: Statement, **facts: Any) -> Record:
    return record(whole(upgrade(*statements)), **facts)


def invented(*statements: Statement, **facts: Any) -> Record:
    return record(whole(upgrade(*statements), with_rows=True), **facts)


def test_a_lock_that_is_held_too_long_is_told_with_its_number_and_its_limit() -> None:
    backfill = statement(UPDATE, seconds=4.5, line=9, changed=("public.users",))
    finding = only("blocking-lock", deploy(statement(ADD, lock(held_seconds=4.8)), backfill))
    assert finding.level is Level.ERROR
    assert finding.message == (
        f"{ADD} held ACCESS EXCLUSIVE on users (about 51,000 rows) for 4.8 s (limit 1 s) and blocked reads and writes"
    )
    assert (finding.revision, finding.file, finding.line) == ("r1", "versions/r1.py", 8)
    assert finding.details == (
        f"versions/r1.py:8: {ADD} (0.1 s)",
        f"then, in the same transaction: versions/r1.py:9: {UPDATE} (4.5 s)",
    )
    assert "batches" in (finding.hint or "")


@pytest.mark.parametrize(
    "facts",
    [
        {"held_seconds": 0.9},
        {"held_seconds": 9.0, "existed": False},
        {"held_seconds": 9.0, "rows": 9_999},
        {"held_seconds": 9.0, "rows": 0},
        {"held_seconds": 9.0, "mode": "SHARE UPDATE EXCLUSIVE"},
        {"held_seconds": 9.0, "mode": "ROW EXCLUSIVE"},
        {"held_seconds": 9.0, "kind": "index"},
        {"held_seconds": 9.0, "kind": "sequence"},
        {"held_seconds": 9.0, "kind": "view"},
    ],
    ids=str,
)
def test_a_lock_that_nobody_waits_for_is_no_finding(facts: dict[str, Any]) -> None:
    assert checks.judge(deploy(statement(ADD, lock(**facts)))) == ()


@pytest.mark.parametrize(
    ("mode", "blocked"),
    [
        ("ACCESS EXCLUSIVE", "reads and writes"),
        ("EXCLUSIVE", "writes"),
        ("SHARE ROW EXCLUSIVE", "writes"),
        ("SHARE", "writes"),
    ],
)
@pytest.mark.parametrize("kind", ["table", "partitioned table", "materialized view"])
def test_each_mode_says_what_it_blocks(mode: str, blocked: str, kind: str) -> None:
    finding = only("blocking-lock", deploy(statement(ADD, lock(mode=mode, kind=kind, held_seconds=2.0))))
    assert finding.message.endswith(f"and blocked {blocked}")


def test_the_limits_of_the_settings_count() -> None:
    limits = Limits(lock_seconds=10.0, small_table=100)
    given = statement(ADD, lock(held_seconds=9.0, rows=150))
    assert judged("blocking-lock", deploy(given, limits=limits)) == ()
    tight = msgspec.structs.replace(limits, lock_seconds=8.0)
    assert "(limit 8 s)" in only("blocking-lock", deploy(given, limits=tight)).message


def test_the_worst_of_a_tables_locks_in_a_transaction_is_told_once() -> None:
    share = statement(INDEX, lock(mode="SHARE", held_seconds=6.0))
    exclusive = statement(ADD, lock(held_seconds=3.0), line=9)
    finding = only("blocking-lock", deploy(share, exclusive))
    assert (finding.line, "reads and writes" in finding.message) == (9, True)
    apart = deploy(share, msgspec.structs.replace(exclusive, transaction=2))
    assert len(judged("blocking-lock", apart)) == 2


@pytest.mark.parametrize(
    ("sql", "hint", "fix"),
    [
        (
            "ALTER TABLE orders ADD CONSTRAINT fk FOREIGN KEY(user_id) REFERENCES users (id)",
            "NOT VALID, and VALIDATE CONSTRAINT",
            (
                "FOREIGN KEY(user_id) REFERENCES users (id) NOT VALID')\n"
                "# in a later revision:\nop.execute('ALTER TABLE orders VALIDATE CONSTRAINT fk')"
            ),
        ),
        (VALIDATED, "add the CHECK NOT VALID", f"op.execute('{VALIDATED} NOT VALID')\n# in a later revision:\n"),
        (
            'ALTER TABLE "user" ALTER COLUMN email SET NOT NULL',
            "(column IS NOT NULL) NOT VALID",
            "op.execute('ALTER TABLE \"user\" ADD CONSTRAINT user_email_set CHECK (email IS NOT NULL) NOT VALID')",
        ),
        (TYPE, "swap the two", None),
        (INDEX, "CONCURRENTLY in an autocommit_block", "postgresql_concurrently=True"),
        ("ALTER TABLE users ADD CONSTRAINT one UNIQUE (name)", "USING INDEX", "CREATE UNIQUE INDEX CONCURRENTLY one"),
        ("ALTER TABLE users ADD COLUMN at timestamptz DEFAULT clock_timestamp()", "SET DEFAULT", None),
        ("REFRESH MATERIALIZED VIEW users", "needs a unique index", None),
        ("LOCK TABLE users", "SET LOCAL lock_timeout", None),
    ],
)
def test_each_kind_of_statement_has_its_own_way_out(sql: str, hint: str, fix: str | None) -> None:
    finding = only("blocking-lock", deploy(statement(sql, lock(held_seconds=5.0), seconds=5.0)))
    assert hint in (finding.hint or "")
    assert (finding.fix is None) if fix is None else fix in (finding.fix or "")


def test_a_lock_that_the_next_revision_keeps_is_to_be_ended_by_a_transaction_a_revision() -> None:
    later = statement("SELECT slow()", seconds=8.0, revision="r2")
    given = deploy(statement(ADD, lock(held_seconds=9.0)), later, pending=("r1", "r2"))
    assert "transaction_per_migration=True" in (only("blocking-lock", given).hint or "")


def test_a_rollback_is_one_level_lower_and_says_so() -> None:
    drop = statement("ALTER TABLE users DROP COLUMN age", lock(held_seconds=4.0, timeout_seconds=0.0))
    given = record(whole(upgrade(), downgrade(drop)))
    finding = only("blocking-lock", given)
    assert (finding.level, finding.message[:14]) == (Level.WARNING, "rolling back: ")
    assert only("no-lock-timeout", given).level is Level.INFO


@pytest.mark.parametrize(
    ("seen", "words", "level"),
    [
        ("commit", "for at most 4 s", Level.WARNING),
        ("sampled", "for about 4 s", Level.ERROR),
        ("inferred", "for at most 4 s", Level.ERROR),
    ],
)
def test_what_is_only_a_bound_is_said_to_be_one(seen: str, words: str, level: Level) -> None:
    finding = only("blocking-lock", deploy(statement("LOCK TABLE users", lock(held_seconds=4.0, seen=seen))))
    assert words in finding.message
    assert finding.level is level
    assert any("since" in detail or "told from the kind of statement" in detail for detail in finding.details)


def test_a_table_of_unknown_size_is_for_information() -> None:
    given = deploy(statement(ADD, lock(held_seconds=4.0, rows=None, timeout_seconds=0.0)))
    finding = only("blocking-lock", given)
    assert finding.level is Level.INFO
    assert "how many rows are in users is not known" in finding.details
    assert judged("no-lock-timeout", given) == ()


# -- partitioned tables

PARTS = tuple(f"public.users_{number}" for number in range(8))


def tree(**facts: Any) -> tuple[Lock, ...]:
    """Locks of a partitioned table of about 51,000 rows and of its partitions."""
    parts = (lock(each, rows=15_000, part_of=("public.users",), **facts) for each in PARTS)
    return lock(kind="partitioned table", **facts), *parts


def test_a_partitioned_table_is_told_once_with_all_its_rows() -> None:
    facts = {"held_seconds": 5.0, "timeout_seconds": 0.0}
    given = deploy(statement(ADD, *tree(**facts)))
    assert "on users (about 51,000 rows) for 5 s" in only("blocking-lock", given).message
    assert "without a lock_timeout on users:" in only("no-lock-timeout", given).message
    assert judged("many-locks-in-one-transaction", given) == ()


def test_an_index_of_a_partitioned_table_has_no_code_that_postgres_refuses() -> None:
    finding = only("blocking-lock", deploy(statement(INDEX, *tree(mode="SHARE", held_seconds=5.0))))
    assert finding.fix is None
    assert "build one CONCURRENTLY on each partition, and attach them" in (finding.hint or "")


def test_a_partition_that_is_locked_by_itself_is_told_by_itself() -> None:
    parent, *parts = tree(held_seconds=5.0)
    alone = [statement(f"CREATE INDEX ON {each.relation} (name)", each) for each in parts]
    told = judged("blocking-lock", deploy(*alone))
    assert len(told) == len(PARTS)
    assert "on users_0 (about 15,000 rows)" in told[0].message
    assert "CREATE INDEX CONCURRENTLY" in (told[0].fix or "")
    assert judged("many-locks-in-one-transaction", deploy(*alone)) == ()
    short = msgspec.structs.replace(parent, held_seconds=0.1)
    assert len(judged("blocking-lock", deploy(*alone, statement(ADD, short)))) == len(PARTS)
    weak = msgspec.structs.replace(parent, mode="SHARE UPDATE EXCLUSIVE")
    detached = statement("ALTER TABLE users DETACH PARTITION users_0 CONCURRENTLY", weak, parts[0], transaction=0)
    assert "on users_0" in only("blocking-lock", deploy(detached)).message


def test_small_partitions_make_a_large_table() -> None:
    parent, *parts = tree(timeout_seconds=0.0)
    small = [msgspec.structs.replace(each, rows=6_000) for each in parts]
    rewrite = statement(TYPE, parent, *small, rewrote=PARTS, seconds=3.0)
    finding = only("table-rewrite", deploy(rewrite))
    assert "every row of users (about 51,000 rows) anew" in finding.message
    alone = msgspec.structs.replace(rewrite, sql="VACUUM FULL users_0", rewrote=PARTS[:1])
    assert judged("table-rewrite", deploy(alone)) == ()


def test_on_invented_rows_a_partitioned_table_is_told_once_too() -> None:
    parent, *parts = (msgspec.structs.replace(each, rows=20) for each in tree())
    filled = (Filled(table="public.users", rows=20),)
    scan = statement(VALIDATED, parent, *parts, scanned=PARTS)
    finding = only("blocking-lock", invented(scan, filled=filled))
    assert finding.message.endswith(
        "on users and blocks reads and writes, the longer the more rows there are: it reads every row of the table"
    )
    alone = statement("CREATE INDEX ON users_0 (name)", msgspec.structs.replace(parts[0], mode="SHARE"))
    assert only("index-not-concurrent", invented(alone, filled=filled)).level is Level.INFO


# -- invented rows

LOUD = lock(rows=20, held_seconds=99.0, timeout_seconds=0.0)


def test_on_invented_rows_a_quick_kind_of_statement_is_silent_however_long_it_took() -> None:
    slow = statement(ADD, LOUD, seconds=99.0)
    drop = statement("ALTER TABLE users DROP COLUMN age", LOUD, seconds=99.0)
    insert = statement("INSERT INTO users (name) VALUES ('a')", changed=("public.users",), seconds=99.0)
    assert checks.judge(invented(slow, drop, insert)) == ()


@pytest.mark.parametrize(
    ("check", "statements"),
    [
        ("blocking-lock", (statement(VALIDATED, LOUD, scanned=("public.users",)),)),
        ("blocking-lock", (statement(ADD, LOUD), statement(UPDATE, changed=("public.users",)))),
        ("table-rewrite", (statement(TYPE, LOUD, rewrote=("public.users", "public.users_pkey")),)),
        ("index-not-concurrent", (statement(INDEX, lock(mode="SHARE", rows=20)),)),
        ("no-lock-timeout", (statement(TYPE, LOUD, rewrote=("public.users",)),)),
    ],
)
def test_on_invented_rows_what_grows_with_the_rows_is_told_without_a_time(
    check: str, statements: tuple[Statement, ...]
) -> None:
    finding = only(check, invented(*statements))
    assert finding.level is Level.INFO
    assert INVENTED in finding.details
    assert "99" not in finding.message


def test_on_invented_rows_the_way_out_is_that_of_what_would_take_the_time() -> None:
    default = statement("ALTER TABLE users ADD COLUMN age INTEGER DEFAULT 0", LOUD, seconds=9.0)
    finding = only("blocking-lock", invented(default, statement(UPDATE, changed=("public.users",))))
    assert UPDATE in finding.message
    assert "batches" in (finding.hint or "")
    born = statement("CREATE TABLE fresh (id int)", lock("public.fresh", existed=False, rows=None))
    filled = statement("INSERT INTO fresh SELECT 1", changed=("public.fresh",))
    assert judged("blocking-lock", invented(born, default, filled)) == ()


def test_on_invented_rows_a_rewrite_and_an_index_are_not_told_as_locks_as_well() -> None:
    rewrite = statement(TYPE, lock(rows=20), rewrote=("public.users",))
    index = statement(INDEX, lock(rows=20, mode="SHARE"))
    given = invented(rewrite, msgspec.structs.replace(index, transaction=2))
    assert {each.check for each in checks.judge(given)} == {"table-rewrite", "index-not-concurrent"}


def test_the_parents_own_rows_are_judged_beside_invented_ones() -> None:
    own = statement(ADD, lock(held_seconds=4.0), lock("public.empty", rows=20, held_seconds=4.0))
    finding = only("blocking-lock", invented(own, filled=(Filled(table="public.empty", rows=20),)))
    assert finding.level is Level.ERROR
    assert "on users" in finding.message


def test_a_table_that_a_pending_revision_made_is_nobodys_yet() -> None:
    made = statement("CREATE TABLE users (id int)", lock(existed=False, rows=None))
    index = statement(INDEX, lock(mode="SHARE", existed=False, rows=None))
    back = downgrade(statement("ALTER TABLE users ADD CONSTRAINT one UNIQUE (name)", LOUD))
    assert checks.judge(record(whole(upgrade(made, index), back, with_rows=True))) == ()
    assert checks.judge(record(whole(upgrade(), back, with_rows=True))) != ()


def test_the_stairway_too_knows_what_an_earlier_revision_made() -> None:
    made = statement("CREATE TABLE users (id int)", lock(existed=False, rows=None))
    index = statement(INDEX, lock(mode="SHARE", rows=20, held_seconds=9.0), revision="r2")
    walks = (
        stairs(upgrade(made), downgrade(), with_rows=True),
        stairs(upgrade(index), downgrade(), revision="r2", with_rows=True),
    )
    assert checks.judge(record(*walks, pending=("r1", "r2"))) == ()
    assert len(judged("index-not-concurrent", record(walks[1]))) == 1


# -- which visits

BOOM = Failure(message="boom", kind="UndefinedTable", revision="r2")


def test_the_whole_walk_is_the_deploy_and_the_stairway_is_not_told_again() -> None:
    slow = upgrade(statement(ADD, lock(held_seconds=4.0)))
    assert len(judged("blocking-lock", record(whole(slow), stairs(slow)))) == 1
    assert judged("blocking-lock", record(whole(upgrade()), stairs(slow))) == ()


def test_where_the_whole_walk_did_not_arrive_the_stairway_is_judged() -> None:
    slow = upgrade(statement(ADD, lock(held_seconds=4.0)))
    failed = whole(upgrade(error=BOOM))
    assert len(judged("blocking-lock", record(failed, stairs(slow)))) == 1
    back = downgrade(statement(ADD, lock(held_seconds=4.0)))
    half = whole(upgrade(), downgrade(error=BOOM))
    finding = only("blocking-lock", record(half, stairs(slow, back)))
    assert finding.message.startswith("rolling back")
    assert [each.visit.direction for each in stages(record(half))] == ["upgrade", "downgrade"]


def test_what_nobody_traced_is_silent() -> None:
    assert checks.judge(record(whole(upgrade(traced=False, seconds=20.0)))) == ()


# -- no-lock-timeout


def test_a_missing_lock_timeout_is_told_once_a_revision_with_all_its_tables() -> None:
    given = deploy(
        statement(ADD, lock(timeout_seconds=0.0)),
        statement(ADD, lock("public.orders", "SHARE", timeout_seconds=0.0), line=9),
        statement(ADD, lock("public.plans", timeout_seconds=0.0), revision="r2"),
        statement(ADD, lock("public.small", timeout_seconds=0.0, rows=5)),
        pending=("r1", "r2"),
    )
    one, two = judged("no-lock-timeout", given)
    assert (one.level, one.revision, two.revision, one.line) == (Level.WARNING, "r1", "r2", 8)
    assert "without a lock_timeout on users, orders:" in one.message
    assert one.fix == "op.execute(\"SET LOCAL lock_timeout = '5s'\")"


def test_outside_of_a_transaction_the_setting_is_one_of_the_session() -> None:
    given = deploy(statement(ADD, lock(timeout_seconds=0.0), transaction=0))
    assert only("no-lock-timeout", given).fix == "op.execute(\"SET lock_timeout = '5s'\")"


# -- table-rewrite


def test_a_rewritten_table_is_a_warning_and_its_indexes_are_not_told() -> None:
    rewrite = statement(TYPE, lock(), seconds=0.5, rewrote=("public.users", "public.users_pkey"))
    finding = only("table-rewrite", deploy(rewrite))
    assert finding.level is Level.WARNING
    assert "wrote every row of users (about 51,000 rows) anew in 0.5 s" in finding.message


@pytest.mark.parametrize(
    ("sql", "facts"),
    [(TYPE, {"existed": False}), (TYPE, {"rows": 10}), (TYPE, {"kind": "index"}), ("TRUNCATE users", {})],
)
def test_a_rewrite_that_costs_nothing_is_silent(sql: str, facts: dict[str, Any]) -> None:
    assert judged("table-rewrite", deploy(statement(sql, lock(**facts), rewrote=("public.users",)))) == ()


# -- slow-migration, slow-statement


def test_a_slow_revision_is_judged_by_its_own_walk_or_by_its_statements() -> None:
    half = statement("SELECT 1", seconds=100.0)
    parts = deploy(half, half, statement("SELECT 2", seconds=170.0, revision="r2"), pending=("r1", "r2"))
    finding = only("slow-migration", parts)
    assert finding.message == "the upgrade of revision r1 took 3 m 20 s (limit 3 m 00 s)"
    assert (finding.level, finding.line, len(finding.details)) == (Level.WARNING, 7, 2)
    alone = msgspec.structs.replace(parts, walks=(*parts.walks, stairs(upgrade(half, seconds=101.0))))
    assert judged("slow-migration", alone) == ()
    back = record(stairs(upgrade(), downgrade(seconds=200.0)))
    assert only("slow-migration", back).level is Level.INFO
    assert judged("slow-migration", record(stairs(upgrade(seconds=200.0), with_rows=True))) == ()


def test_a_slow_statement_is_told_with_its_rows_and_its_limit() -> None:
    finding = only("slow-statement", deploy(statement(UPDATE, seconds=45.0, rows=3_000_000)))
    assert finding.message == f"{UPDATE} took 45 s (limit 30 s) and changed 3,000,000 rows"
    assert (finding.level, "batches" in (finding.hint or "")) == (Level.WARNING, True)
    assert judged("slow-statement", deploy(statement(UPDATE, seconds=29.0))) == ()
    assert judged("slow-statement", invented(statement(UPDATE, seconds=45.0))) == ()
    concurrent = statement("CREATE INDEX CONCURRENTLY i ON users (name)", seconds=900.0, transaction=0)
    assert judged("slow-statement", deploy(concurrent)) == ()


# -- indexes


@pytest.mark.parametrize(
    ("sql", "mode"),
    [
        (INDEX, "SHARE"),
        ('CREATE UNIQUE INDEX "I" ON public."users" USING btree (lower(name)) WHERE id > 1', "SHARE"),
        ("ALTER TABLE users ADD CONSTRAINT one UNIQUE (name)", MODE),
        ("ALTER TABLE ONLY users ADD PRIMARY KEY (id)", MODE),
        ("REINDEX TABLE users", "SHARE"),
        ("REINDEX INDEX ix_users_name", "SHARE"),
        ("-- as planned\ncreate index on USERS (name)", "SHARE"),
    ],
)
def test_an_index_that_is_built_in_the_way_of_writers_is_a_warning(sql: str, mode: str) -> None:
    finding = only("index-not-concurrent", deploy(statement(sql, lock(mode=mode))))
    assert finding.level is Level.WARNING
    assert "on users (about 51,000 rows) without CONCURRENTLY" in finding.message


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE INDEX CONCURRENTLY ix_users_name ON users (name)",
        "CREATE INDEX ix_users_name ON ONLY users (name)",
        "ALTER TABLE users ADD CONSTRAINT one UNIQUE USING INDEX one",
        "REINDEX TABLE CONCURRENTLY users",
        "REINDEX (CONCURRENTLY) TABLE users",
        "DROP INDEX ix_users_name",
        "COMMENT ON TABLE users IS 'CREATE INDEX i ON users (x)'",
        "CREATE INDEX i ON others (name)",
    ],
)
def test_an_index_that_is_in_nobodys_way_is_silent(sql: str) -> None:
    assert judged("index-not-concurrent", deploy(statement(sql, lock(mode="SHARE")))) == ()


def test_the_code_that_builds_an_index_beside_the_traffic_is_given() -> None:
    unique = 'CREATE UNIQUE INDEX ix_user_email ON app."user" (email, name)'
    finding = only("index-not-concurrent", deploy(statement(unique, lock("app.user", "SHARE"))))
    assert finding.fix == (
        "with op.get_context().autocommit_block():\n"
        "    op.create_index('ix_user_email', 'user', ['email', 'name'], unique=True, schema='app',"
        " postgresql_concurrently=True)"
    )
    parted = lock(mode="SHARE", kind="partitioned table")
    finding = only("index-not-concurrent", deploy(statement(INDEX, parted)))
    assert (finding.fix, "on each partition" in (finding.hint or "")) == (None, True)


def test_the_index_of_a_new_column_is_to_be_built_after_it() -> None:
    finding = only("index-not-concurrent", deploy(statement("ALTER TABLE users ADD COLUMN code TEXT UNIQUE", lock())))
    assert finding.message.startswith("the index of the new column code is built on users")
    assert (finding.fix, (finding.hint or "")[:37]) == (None, "add the column without the constraint")


def test_a_partitioned_table_is_built_again_concurrently_as_others_are() -> None:
    again = statement("REINDEX TABLE users", lock(mode="SHARE", kind="partitioned table"), transaction=0)
    assert "REINDEX TABLE CONCURRENTLY users" in (only("index-not-concurrent", deploy(again)).fix or "")


def test_an_index_in_a_transaction_that_has_the_lock_already_is_found() -> None:
    given = deploy(statement(INDEX, lock(mode="SHARE")), statement("CREATE INDEX other ON users (id)"))
    assert len(judged("index-not-concurrent", given)) == 2


@pytest.mark.parametrize("direction", ["upgrade", "downgrade"])
def test_concurrently_inside_a_transaction_is_told_with_the_block_to_write(direction: str) -> None:
    sql = "DROP INDEX CONCURRENTLY ix" if direction == "downgrade" else "CREATE INDEX CONCURRENTLY ix ON users (name)"
    error = Failure(message="cannot run", kind="ActiveSqlTransaction", revision="r1", sqlstate="25001", sql=sql)
    visits = (upgrade(error=error),) if direction == "upgrade" else (upgrade(), downgrade(error=error))
    finding = only("concurrent-in-transaction", record(whole(*visits), stairs(*visits)))
    assert finding.level is (Level.ERROR if direction == "upgrade" else Level.WARNING)
    assert finding.fix == f"with op.get_context().autocommit_block():\n    op.execute({sql!r})"


def test_other_refusals_of_a_transaction_are_not_its_business() -> None:
    error = Failure(message="no", kind="ActiveSqlTransaction", sqlstate="25001", sql="VACUUM users")
    assert judged("concurrent-in-transaction", record(whole(upgrade(error=error)))) == ()
    other = msgspec.structs.replace(error, sql="CREATE INDEX CONCURRENTLY i ON users (name)", sqlstate="23505")
    assert judged("concurrent-in-transaction", record(whole(upgrade(error=other)))) == ()


def test_an_index_left_invalid_is_an_error_whether_the_visit_failed_or_not() -> None:
    left = upgrade(
        error=Failure(message="duplicates", kind="UniqueViolation", revision="r1"), invalid_indexes=("app.i",)
    )
    finding = only("invalid-index-left", record(whole(left), stairs(left)))
    assert (finding.level, finding.revision, finding.details) == (Level.ERROR, "r1", ("duplicates",))
    assert "DROP INDEX CONCURRENTLY IF EXISTS app.i" in (finding.fix or "")
    quiet = record(stairs(upgrade(), downgrade(invalid_indexes=("public.i",))))
    assert only("invalid-index-left", quiet).level is Level.WARNING


KEY = UnindexedKey(table="public.orders", name="fk", columns=("user_id",), references="public.users")


@pytest.mark.parametrize(
    ("facts", "level"),
    [({}, Level.WARNING), ({"rows": 5}, Level.INFO), ({"existed": False}, Level.INFO), ({"rows": None}, Level.INFO)],
)
def test_a_foreign_key_without_an_index_is_a_warning_on_a_large_table(facts: dict[str, Any], level: Level) -> None:
    sql = "ALTER TABLE orders ADD CONSTRAINT fk FOREIGN KEY(user_id) REFERENCES users (id)"
    made = statement(sql, lock("public.orders", "SHARE ROW EXCLUSIVE", **facts), line=12)
    finding = only("fk-without-index", record(whole(upgrade(made, unindexed_keys=(KEY,)))))
    assert (finding.level, finding.line) == (level, 12)
    assert "begins with user_id: each DELETE or UPDATE of a key in users" in finding.message
    assert "op.create_index('ix_orders_user_id', 'orders', ['user_id']" in (finding.fix or "")


def test_a_foreign_key_that_a_rollback_brings_back_is_not_judged() -> None:
    assert checks.judge(record(whole(upgrade(), downgrade(unindexed_keys=(KEY,))))) == ()
    assert only("fk-without-index", record(whole(upgrade(traced=False, unindexed_keys=(KEY,))))).revision == "r1"


# -- many-locks-in-one-transaction


def test_locks_on_more_tables_than_the_limit_are_told_at_the_one_too_many() -> None:
    many = [statement(ADD, lock(f"public.t{n}"), line=n) for n in range(1, 8)]
    finding = only("many-locks-in-one-transaction", deploy(*many))
    assert (finding.level, finding.line, len(finding.details)) == (Level.WARNING, 6, 7)
    assert finding.message == ("one transaction held locks on 7 tables at once (limit 5), which block reads and writes")
    apart = [msgspec.structs.replace(each, transaction=n) for n, each in enumerate(many, 1)]
    alone = [msgspec.structs.replace(each, transaction=0) for each in many]
    small = [statement(ADD, lock(f"public.t{n}", rows=3), line=n) for n in range(1, 8)]
    for silent in (many[:5], apart, alone, small):
        assert judged("many-locks-in-one-transaction", deploy(*silent)) == ()
    assert only("many-locks-in-one-transaction", invented(*small)).level is Level.INFO
