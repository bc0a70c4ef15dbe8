"""Whose data a branch shall hold: its parent's of now or of another moment, masked, or none at all.

Neon has two ways of leaving the rows out: `schema-only`, a root branch of its own, and `parent-schema`, a child.
neontest asks for `schema-only`: it is what Neon's own clients send, and its answer names no parent, so an API that
does not know it, and makes a branch with all the data, can be told by its answer. `parent-schema` is in the newest
contract only, an older API would take it for a copy of the data, and the answer would look the same. The price is the
plan's limit of root branches (three on Free, the project's own one among them).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from neontest.errors import ConfigError, UsageError

_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_LSN: Final = re.compile(r"[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}", re.ASCII)
LARGEST: Final = 1024 * 1024
"""Bytes of a file with masking rules."""


class MaskingRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One column, and what stands in place of its values; named as the API names it."""

    database_name: str
    schema_name: str
    table_name: str
    column_name: str
    masking_function: str | None = None
    """Such as `anon.fake_email()`."""
    masking_value: str | None = None

    @property
    def column(self) -> str:
        return f"{self.database_name}.{self.schema_name}.{self.table_name}.{self.column_name}"


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file with masking rules: `[[masking_rules]]` in TOML, the same in JSON."""

    masking_rules: tuple[MaskingRule, ...]


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """What a branch is made of, beside its parent."""

    lsn: str | None = None
    """The parent's history up to there; None: its present."""
    time: str | None = None
    """The same by a moment, as the API takes it."""
    schema_only: bool = False
    rules: tuple[MaskingRule, ...] = ()

    @property
    def past(self) -> bool:
        """The branch is not of the parent's present: what is in the parent now says nothing about it."""
        return self.lsn is not None or self.time is not None

    def at(self, lsn: str | None) -> Source:
        """The same of that moment. A schema-only branch has none: it is made anew of the parent's schema."""
        return self if lsn is None or self.schema_only else replace(self, lsn=lsn, time=None)


PLAIN: Final = Source()


def source(
    *, schema_only: bool = False, anonymize: Path | None = None, time: str | None = None, lsn: str | None = None
) -> Source:
    """What the settings say; the file with the rules is read.

    Raises:
        ConfigError: the file is none with masking rules.
    """
    return Source(
        lsn=lsn,
        time=moment(time, what="the parent's time") if time else None,
        schema_only=schema_only,
        rules=rules(anonymize) if anonymize else (),
    )


def contradiction(*, schema_only: bool, anonymize: bool, time: str | None, lsn: str | None) -> str | None:
    """Which two of these cannot be meant together, in one sentence; None where they can."""
    if time and lsn:
        return "--parent-time and --parent-lsn each name a moment: give one of them"
    if schema_only and anonymize:
        return "--schema-only leaves no row that --anonymize could mask: give one of them"
    if schema_only and (time or lsn):
        return (
            "--schema-only makes a new branch of the parent's present schema, which no --parent-time or --parent-lsn"
            " moves: give one of them"
        )
    return None


def moment(text: str, *, what: str) -> str:
    """The moment as the API takes it: RFC 3339 in UTC.

    Raises:
        UsageError: it is none, or in the future.
    """
    hint = "give it with its zone, such as 2026-01-31T12:00:00Z"
    try:
        if not _MOMENT.fullmatch(text):
            raise ValueError(text)
        found = datetime.fromisoformat(text.upper().replace(" ", "T")).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UsageError(f'{what}: "{text[:60]}" is no moment of RFC 3339', hint=hint) from error
    if found > datetime.now(UTC):
        raise UsageError(f"{what}: {text[:60]} is in the future", hint="a branch can only be made of the past")
    return found.isoformat().replace("+00:00", "Z")


def checked_lsn(text: str, *, what: str) -> str:
    """The place in the WAL; UsageError where it is none."""
    if not _LSN.fullmatch(text):
        raise UsageError(
            f'{what}: "{text[:60]}" is no LSN',
            hint="an LSN is two hexadecimal numbers, such as 0/1E88D48; a report names its parent's",
        )
    return text.upper()


def rules(file: Path) -> tuple[MaskingRule, ...]:
    """The masking rules of a TOML or JSON file; in JSON also a bare list of them, as Neon's action takes it.

    Raises:
        ConfigError: what is wrong with the file, and where.
    """
    hint = (
        "each rule has database_name, schema_name, table_name, column_name, and masking_function or masking_value:"
        " https://neon.com/docs/workflows/data-anonymization-api"
    )
    try:
        with file.open("rb") as opened:
            content = opened.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise ConfigError(f"{file} is too large for a file with masking rules: over {LARGEST:,} bytes")
        found = msgspec.convert(_written(file, content), Rules).masking_rules
    except OSError as error:
        raise ConfigError(f"the masking rules {file} cannot be read: {error.strerror}", hint=hint) from error
    except msgspec.ValidationError as error:
        raise ConfigError(f"{file} has no masking rules that can be used: {error}", hint=hint) from error
    except (msgspec.DecodeError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"the masking rules {file} cannot be read: {error}", hint=hint) from error
    _refuse_senseless(file, found, hint)
    return found


def _written(file: Path, content: bytes) -> Any:
    if file.suffix.lower() == ".toml":
        return tomllib.loads(content.decode("utf-8-sig"))
    found = msgspec.json.decode(content)
    return {"masking_rules": found} if isinstance(found, list) else found


def _refuse_senseless(file: Path, found: tuple[MaskingRule, ...], hint: str) -> None:
    wrong: tuple[tuple[str, Callable[[MaskingRule], bool]], ...] = (
        ("holds a null byte", lambda each: any("\0" in text for text in msgspec.to_builtins(each).values())),
        ("names no whole column", lambda each: not all(each.column.split("."))),
        (
            "needs a masking_function or a masking_value, and not both",
            lambda each: (each.masking_function is None) == (each.masking_value is None),
        ),
    )
    if not found:
        raise ConfigError(f"{file} has no masking rule: the branch would be a plain copy", hint=hint)
    columns: set[str] = set()
    for number, each in enumerate(found, 1):
        for what, is_wrong in wrong:
            if is_wrong(each):
                raise ConfigError(f"{file}: rule {number} ({each.column!r}) {what}", hint=hint)
        if each.column in columns:
            raise ConfigError(f"{file}: rule {number} is the second one for the column {each.column}", hint=hint)
        columns.add(each.column)
