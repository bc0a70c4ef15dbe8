"""What squawk says of statements, asked of the real squawk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from neontest import checks
from neontest.errors import Stopped
from neontest.lint import EXCLUDED, SCHEMA, find, lint
from neontest.record import Lint, Lock, Record, Statement
from neontest.report import Level
from neontest.stop import Deadline, Stop

SQUAWK = find(os.environ)


@pytest.fixture(autouse=True)
def nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    yield
    assert list(temporary.iterdir()) == []


def statement(sql: str, **facts: Any) -> Statement:
    return Statement(**{"sql": sql, "file": "versions/r1.py", "line": 9, "revision": "r1", "transaction": 1, **facts})


def say(*given: Statement, **facts: Any) -> tuple[Lint, ...]:
    usual = {"server_version": 180006, "executable": SQUAWK, "stop": Stop(), "deadline": Deadline(60, what="squawk")}
    return lint(given, **{**usual, **facts})


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A configuration of squawk's own, that changes nothing."""
    file = tmp_path / "own.toml"
    file.touch()
    return file


def rules(found: tuple[Lint, ...]) -> list[tuple[str, int | None]]:
    return [(each.rule, each.line) for each in found]


def test_each_message_has_its_statements_revision_file_and_line(own: Path) -> None:
    found = say(
        statement("ALTER TABLE a RENAME COLUMN b TO c"),
        statement(
            "\n-- a note; with 'quotes\nALTER TABLE a\n\n  DROP COLUMN d -- the end",
            file="versions/r2.py",
            line=20,
            revision="r2",
        ),
        statement("CREATE TABLE x (\n  id bigint GENERATED ALWAYS AS IDENTITY,\n  name varchar(20)\n)", line=30),
        statement('ALTER TABLE "ü" RENAME TO "weiß";', line=40, transaction=2),
        config=own,
    )
    assert rules(found) == [
        ("renaming-column", 9),
        ("ban-drop-column", 20),
        ("prefer-text-field", 30),
        ("renaming-table", 40),
    ]
    assert (found[1].revision, found[1].file) == ("r2", "versions/r2.py")
    assert "DROP COLUMN d" in found[1].sql
    assert [each.level for each in found] == ["warning", "warning", "info", "warning"]
    assert found[2].hint
    assert all(each.message for each in found)


def test_a_rule_is_told_once_a_statement_and_taste_to_those_who_have_some(own: Path) -> None:
    given = (
        statement("CREATE TABLE x (a varchar(2), b varchar(3), c char(1))", line=1),
        statement("CREATE TABLE y (a varchar(2))", line=2),
    )
    assert rules(say(*given, config=own)) == [
        ("prefer-text-field", 1),
        ("ban-char-field", 1),
        ("prefer-text-field", 2),
    ]
    assert say(*given) == ()


def test_a_table_that_the_same_upgrade_made_can_be_changed_as_one_likes() -> None:
    makes = statement("CREATE TABLE a (b bigint)", locks=(lock("public.a", existed=False),))
    locks = statement("LOCK TABLE old", locks=(lock("public.old", existed=True),))
    renames = statement("ALTER TABLE a RENAME COLUMN b TO c", transaction=2)
    both = statement(
        "ALTER TABLE a ADD CONSTRAINT f FOREIGN KEY (c) REFERENCES old; DROP TABLE old", transaction=3, line=7
    )
    assert say(makes, renames) == ()
    assert rules(say(renames)) == [("renaming-column", 9)]
    assert ("ban-drop-table", 7) in rules(say(makes, locks, renames, both))


def lock(relation: str, *, existed: bool) -> Lock:
    return Lock(relation=relation, mode="ACCESS EXCLUSIVE", existed=existed)


def test_what_neontest_measures_itself_is_left_to_it() -> None:
    measured = [
        "CREATE INDEX ix ON a (b)",
        "ALTER TABLE a ADD COLUMN c bigint NOT NULL",
        "ALTER TABLE a ADD CONSTRAINT u UNIQUE (b)",
        "ALTER TABLE a ADD CONSTRAINT f FOREIGN KEY (b) REFERENCES o (id)",
        "ALTER TABLE a ALTER COLUMN b SET NOT NULL",
        "ALTER TABLE a ALTER COLUMN b TYPE text",
        "DROP INDEX ix",
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS iy ON a (b)",
        "ALTER TABLE a ADD COLUMN z uuid DEFAULT gen_random_uuid()",
        "ALTER TABLE p DETACH PARTITION q",
    ]
    assert say(*map(statement, measured)) == ()


def test_every_rule_that_is_left_out_is_one_that_squawk_has() -> None:
    """A rule that changed its name would be told again."""
    for rule in EXCLUDED:
        if rule in ("syntax-error", "unused-ignore"):  # those that one cannot name there
            continue
        words = [str(SQUAWK), "--exclude", rule, "--reporter", "json", "--stdin-filepath", "x.sql"]
        done = subprocess.run(words, input="SELECT 1;", capture_output=True, text=True, check=False, timeout=60)
        assert "invalid rule name" not in done.stderr, rule


def test_a_statement_outside_of_a_transaction_can_stop_half_way(own: Path) -> None:
    pair = ("ALTER TABLE a ADD COLUMN b text", "ALTER TABLE a ADD COLUMN c text")
    alone = say(*(statement(sql, transaction=0) for sql in pair), config=own)
    assert {(each.rule, each.level) for each in alone} == {("prefer-robust-stmts", "info")}
    assert say(*(statement(sql, transaction=3) for sql in pair), config=own) == ()


def test_the_order_of_statements_is_kept_where_transactions_and_autocommit_alternate() -> None:
    sql = "ALTER TABLE a RENAME COLUMN b TO c"
    given = [statement(sql, line=line, transaction=number) for line, number in enumerate((1, 1, 0, 2, 0, 0, 3), 1)]
    assert [line for rule, line in rules(say(*given)) if rule == "renaming-column"] == [1, 2, 3, 4, 5, 6, 7]


def test_data_statements_and_what_no_migration_sent_are_not_linted() -> None:
    renames = "ALTER TABLE a RENAME COLUMN b TO c"
    assert say(statement(renames, file=None, line=None, revision=None)) == ()
    assert rules(say(statement(renames, file=None, line=None))) == [("renaming-column", None)]
    assert say(statement("UPDATE a SET b = %(b)s; DELETE FROM x"), statement("SELECT 'x"), statement("")) == ()
    assert "UPDATE" not in SCHEMA


def test_a_statement_that_squawk_cannot_read_hides_no_other() -> None:
    found = say(
        statement("ALTER TABLE a RENAME COLUMN b TO c", line=1),
        statement("CREATE TABLE x AS SELECT %(value)s AS y", line=2),
        statement("ALTER TABLE a DROP COLUMN e", line=3),
        statement("ALTER TABLE a ADD CONSTRAINT k CHECK (b %% 2 = 0) NOT VALID", line=4),
        statement("CREATE NONSENSE ((", line=5, transaction=2),
    )
    assert rules(found) == [("renaming-column", 1), ("ban-drop-column", 3)]


def test_without_squawk_nothing_is_said() -> None:
    assert say(statement("DROP TABLE a"), executable=None) == ()


def test_squawk_that_fails_is_said_to_have_failed(tmp_path: Path) -> None:
    (tmp_path / ".squawk.toml").write_text("excluded_rules = [")
    (only,) = say(statement("DROP TABLE a"), config=tmp_path / ".squawk.toml")
    assert (only.rule, only.level) == ("squawk", "info")
    assert "Configuration error" in only.message
    (only,) = say(statement("DROP TABLE a"), executable=tmp_path / "nothing")
    assert "cannot be started" in only.message


def test_squawk_that_does_not_end_is_ended(tmp_path: Path) -> None:
    slow = tmp_path / "squawk"
    slow.write_text("#!/bin/sh\nexec sleep 1000\n")
    slow.chmod(0o755)
    (only,) = say(statement("DROP TABLE a"), executable=slow, deadline=Deadline(0.2, what="squawk"))
    assert "in time" in only.message


def test_an_order_to_stop_is_obeyed() -> None:
    stop = Stop()
    with pytest.raises(Stopped):
        stop.request(15)
    with pytest.raises(Stopped):
        say(statement("DROP TABLE a"), stop=stop)


def test_the_projects_own_configuration_is_heeded_but_for_transactions(tmp_path: Path) -> None:
    config = tmp_path / ".squawk.toml"
    config.write_text('excluded_rules = ["ban-drop-table"]\nassume_in_transaction = true\n')
    given = [
        statement("DROP TABLE a", line=1),
        statement("CREATE INDEX CONCURRENTLY ix ON a (b)", line=2, transaction=0),
        statement("CREATE INDEX CONCURRENTLY iy ON a (b)", line=3, transaction=0),
    ]
    assert rules(say(*given, config=config)) == [("prefer-robust-stmts", 2), ("prefer-robust-stmts", 3)]
    assert ("ban-drop-table", 1) in rules(say(*given))
    assert ("ban-drop-table", 1) in rules(say(*given, config=tmp_path / "nothing"))


def test_secrets_in_the_environment_do_not_reach_squawk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEON_API_KEY", "hush-hush")
    spy = tmp_path / "squawk"
    spy.write_text(f"#!/bin/sh\nenv > {tmp_path}/env; echo $* > {tmp_path}/args; echo '[]'\n")
    spy.chmod(0o755)
    assert say(statement("CREATE ROLE x PASSWORD 'hush-hush'"), executable=spy) == ()
    assert "hush-hush" not in (tmp_path / "env").read_text() + (tmp_path / "args").read_text()


def test_many_messages_are_read_whole() -> None:
    """More than a line of a child's output may hold."""
    given = [statement(f"ALTER TABLE a{n} RENAME TO b{n}", line=n + 1) for n in range(6000)]
    assert rules(say(*given)) == [("renaming-table", n + 1) for n in range(6000)]


def test_squawk_is_found_beside_the_interpreter_else_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "squawk"
    elsewhere.write_text("#!/bin/sh\n")
    elsewhere.chmod(0o755)
    assert find({"PATH": str(tmp_path)}) == Path(sys.executable).parent / "squawk"
    monkeypatch.setattr(sys, "executable", str(tmp_path / "other" / "python"))
    assert find({"PATH": str(tmp_path)}) == elsewhere
    assert find({"PATH": str(tmp_path / "other")}) is None
    assert find({}) is None


def test_what_squawk_says_becomes_findings_once_each(own: Path) -> None:
    given = (statement("ALTER TABLE a RENAME COLUMN b TO c"), statement("CREATE TABLE x (a varchar(2))", line=12))
    found = say(*given, config=own)
    findings = checks.judge(Record(engine="local", lint=(*found, *found)))
    assert [(each.check, each.level, each.revision, each.file, each.line) for each in findings] == [
        ("squawk", Level.WARNING, "r1", "versions/r1.py", 9),
        ("squawk", Level.INFO, "r1", "versions/r1.py", 12),
    ]
    assert findings[0].message.startswith("renaming-column: ")
    assert findings[0].details == ("in: ALTER TABLE a RENAME COLUMN b TO c",)
