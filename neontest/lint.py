"""What squawk, a linter of SQL, says of the statements that a migration really sent. Only where it is installed."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Final, Literal

from neontest.postgres.tokens import Unreadable, statements
from neontest.process import how_it_ended, run_child
from neontest.record import Lint, Statement
from neontest.scratch import Scratch
from neontest.statements import mentions
from neontest.stop import Deadline, Stop

PROGRAM: Final = "squawk"
ROUNDS: Final = 5
"""Attempts to go round statements that squawk cannot read."""
SCHEMA: Final = ("CREATE", "ALTER", "DROP", "TRUNCATE", "REINDEX", "CLUSTER")
"""First words of the statements that are linted: data statements have parameters' places, which are no SQL."""

EXCLUDED: Final = {
    "adding-field-with-default": "table-rewrite sees whether the table got a new file",
    "adding-foreign-key-constraint": "blocking-lock measures the lock, on tables that have rows",
    "adding-not-nullable-field": "blocking-lock measures the lock and sees the scan",
    "adding-required-field": "fails-with-rows and upgrade-fails try it on rows",
    "adding-serial-primary-key-field": "blocking-lock and table-rewrite see what it does",
    "ban-concurrent-index-creation-in-transaction": "concurrent-in-transaction sees the transaction",
    "ban-uncommitted-transaction": "transactions were seen as they were, not guessed from the text",
    "changing-column-type": "table-rewrite tells the changes that rewrite from those that do not",
    "constraint-missing-not-valid": "blocking-lock measures the lock and sees the scan",
    "disallowed-unique-constraint": "blocking-lock measures the lock, on tables that have rows",
    "require-concurrent-index-creation": "index-not-concurrent knows which tables were there and have rows",
    "require-concurrent-index-deletion": "blocking-lock measures the lock",
    "require-concurrent-partition-detach": "blocking-lock measures the lock",
    "require-concurrent-reindex": "blocking-lock measures the lock",
    "require-lock-timeout": "no-lock-timeout reads the lock_timeout in effect, wherever it was set",
    "require-statement-timeout": "slow-statement measures; a limit set elsewhere is not in the text",
    "require-timeout-settings": "the former name of the two above",
    "syntax-error": "the server took the statement: it is squawk that cannot read it",
    "transaction-nesting": "transactions were seen as they were, not guessed from the text",
    "unused-ignore": "what it would ignore may be in a statement that is not linted",
}
"""Rules that neontest's own checks answer by measuring, where the text alone would repeat or contradict them."""
TASTE: Final = ("prefer-", "ban-char-field")
"""How the names of the rules begin that most models of SQLAlchemy break: for information, and only where the project
has a configuration of squawk's own."""


def find(environ: Mapping[str, str]) -> Path | None:
    """squawk beside this interpreter, else on the PATH; None where it is not installed."""
    beside = Path(sys.executable).parent / PROGRAM
    found = shutil.which(beside) or shutil.which(PROGRAM, path=environ.get("PATH", ""))
    return Path(found).absolute() if found else None


def lint(
    given: Sequence[Statement],
    *,
    server_version: int,
    executable: Path | None,
    stop: Stop,
    deadline: Deadline,
    config: Path | None = None,
) -> tuple[Lint, ...]:
    """What squawk says of those statements that change the schema, in their order; nothing without an `executable`.

    Consecutive statements of one transaction are linted together, so that a table that it made itself is known to be
    new. `config` is the project's own `.squawk.toml`. If squawk fails, that is the one thing said, as information.
    """
    if executable is None:
        return ()
    meant = [each for each in given if (each.file or each.revision) and _changes_the_schema(each.sql)]
    groups = [tuple(group) for _, group in groupby(meant, key=lambda each: each.transaction)]
    found: dict[int, list[Lint]] = {}
    new = _of_new_tables(given)
    scratch = Scratch()
    try:
        for inside in (True, False):
            left = {place: group for place, group in enumerate(groups) if bool(group[0].transaction) is inside}
            words = [
                *(str(executable), "--reporter", "json"),
                *("--pg-version", f"{server_version // 10000}.{server_version % 10000}"),
                "--assume-in-transaction" if inside else "--no-assume-in-transaction",
                *(("--config", str(config.absolute())) if config is not None and config.is_file() else ()),
            ]
            for _ in range(ROUNDS):
                if not left:
                    break
                said = _run(words, left, scratch.folder(), stop, deadline)
                if isinstance(said, str):
                    return (Lint(rule=PROGRAM, message=said, level="info"),)
                left = _taken(left, said, found, taste=config is not None, new=new)
    finally:
        scratch.close()
    return tuple(each for place in sorted(found) for each in found[place])


def _changes_the_schema(sql: str) -> bool:
    try:
        return any(words.next is not None and words.next.word in SCHEMA for words in statements(sql))
    except Unreadable:
        return False


Judge = Callable[[Statement], bool]
Groups = dict[int, tuple[Statement, ...]]
Said = dict[int, list[dict[str, Any]]]


def _taken(left: Groups, said: Said, found: dict[int, list[Lint]], *, taste: bool, new: Judge) -> Groups:
    """Keep what was said of groups that squawk could read; the others, without the statements that it could not."""
    again = {}
    for place, group in left.items():
        at = _lines(group)
        messages = [(at[min(each["line"], len(at) - 1)], each) for each in said.get(place, ())]
        unread = {number for number, each in messages if each["rule_name"] == "syntax-error"}
        if not unread:
            found[place] = list(_lints(group, messages, taste=taste, new=new))
        elif len(unread) < len(group):
            again[place] = tuple(each for number, each in enumerate(group) if number not in unread)
    return again


def _lints(
    group: Sequence[Statement], messages: Sequence[tuple[int, dict[str, Any]]], *, taste: bool, new: Judge
) -> Iterator[Lint]:
    """Each message as a Lint, in the order of the statements, one a rule and statement."""
    told = set()
    for number, each in sorted(messages, key=lambda message: message[0]):
        rule = each["rule_name"]
        at, tasteful = group[number], rule.startswith(TASTE)
        if rule in EXCLUDED or (number, rule) in told or (tasteful and not taste) or new(at):
            continue
        told.add((number, rule))
        level: Literal["warning", "info"] = "info" if tasteful else "warning"
        yield Lint(
            rule=rule,
            message=each["message"],
            level=level,
            hint=each.get("help"),
            sql=at.sql,
            revision=at.revision,
            file=at.file,
            line=at.line,
        )


def _of_new_tables(given: Sequence[Statement]) -> Callable[[Statement], bool]:
    """Whether a statement is about tables alone that the same upgrade made: nobody uses them yet."""
    locks = [lock for each in given for lock in each.locks if lock.kind in ("table", "partitioned table")]
    old = {lock.relation for lock in locks if lock.existed}
    made = {lock.relation for lock in locks} - old

    def new(statement: Statement) -> bool:
        def named(tables: set[str]) -> bool:
            return any(mentions(statement.sql, each) for each in tables)

        return named(made) and not named(old)

    return new


def _text(statement: Statement) -> str:
    """As it was sent: drivers' statements are recorded with `%` doubled. The text may end in a comment."""
    return statement.sql.replace("%%", "%").rstrip().rstrip(";") + "\n;\n"


def _lines(group: Sequence[Statement]) -> list[int]:
    """Of each line of a group's file, from 0, the number of its statement."""
    return [number for number, each in enumerate(group) for _ in range(_text(each).count("\n"))]


def _run(words: Sequence[str], groups: Groups, folder: Path, stop: Stop, deadline: Deadline) -> Said | str:
    """squawk's messages by group, or in one sentence why there are none."""
    # Else it takes the next one above the folder, whoever put it there.
    (folder / ".squawk.toml").touch()
    for place, group in groups.items():
        text = "".join(map(_text, group))
        (folder / f"{place}.sql").write_bytes(text.encode("utf-8", "replace"))
    output: list[str] = []
    status, in_time = _ended(words, folder, output.append, stop, deadline)
    if not in_time:
        return "squawk did not end in time"
    # It exits with 1 if it has something to say, and if it failed. What is not JSON came from its standard error.
    text = "".join(output)
    try:
        messages, _ = json.JSONDecoder().raw_decode(text, text.index("["))
        said: Said = {}
        for each in messages:
            assert isinstance(each["rule_name"], str)
            assert isinstance(each["message"], str)
            assert isinstance(each["line"], int)
            said.setdefault(int(Path(each["file"]).stem), []).append(each)
    except (ValueError, KeyError, TypeError, AssertionError):
        return f"squawk {how_it_ended(status)} and said: {' '.join(text.split())[:300] or 'nothing'}"
    return said


def _ended(
    words: Sequence[str], folder: Path, log: Callable[[str], None], stop: Stop, deadline: Deadline
) -> tuple[int, bool]:
    """Its exit status, and whether it ended in time. It gets the folder's files, and nothing of the environment."""
    try:
        return run_child([*words, "*.sql"], cwd=folder, environ={}, deadline=deadline, stop=stop, log=log)
    except OSError as error:
        log(f"it cannot be started: {error.strerror}")
        return 127, True
