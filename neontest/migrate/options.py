"""Alembic's options of one environment, read as Alembic reads them: alembic.ini first, then `[tool.alembic]`.

Nothing of the project is imported. Errors of either file are one sentence with `file:line`.
"""

from __future__ import annotations

import configparser
import locale
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from neontest.errors import UsageError

_SEPARATORS = {"space": " ", "newline": "\n", "os": os.pathsep, ":": ":", ";": ";"}


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The options of one section of an ini file, and of a pyproject.toml for what the ini file does not say."""

    ini: Path | None
    section: str
    toml: Path | None
    parser: configparser.ConfigParser | None
    table: Mapping[str, Any]

    @property
    def file(self) -> Path | None:
        return self.ini or self.toml

    def text(self, name: str) -> str | None:
        """The option's value with `%(here)s` and the like filled in; None where neither file has it."""
        if (value := self._from_ini(name)) is not None:
            return value
        value = self.table.get(name)
        return None if value is None else self._fill(name, str(value))

    def flag(self, name: str) -> bool:
        """Whether the option is on: `true` in an ini file (and nothing else, as Alembic reads it), true in TOML."""
        if (value := self._from_ini(name)) is not None:
            return value == "true"
        return self.table.get(name) is True

    def paths(self, name: str) -> tuple[str, ...]:
        """The option as a list of paths, divided as `path_separator` says (else at spaces and commas)."""
        if value := self._from_ini(name):
            return self._divided(name, value)
        found = self.table.get(name) or ()
        return tuple(self._fill(name, str(item)) for item in ([found] if isinstance(found, str) else found))

    def _divided(self, name: str, value: str) -> tuple[str, ...]:
        for key in ("path_separator", "version_path_separator"):
            if (separator := self._from_ini(key)) is None:
                continue
            if separator not in _SEPARATORS:
                raise UsageError(
                    f"{self._where(key)}: {key} is {separator!r}, which Alembic does not know",
                    hint="use space, newline, os, : or ;",
                )
            return tuple(part.strip() for part in value.split(_SEPARATORS[separator]) if part.strip())
        # Without a separator Alembic divides prepend_sys_path at colons too, version_locations not.
        pattern = r", *| +|:|\n" if name == "prepend_sys_path" else r", *| +|\n"
        return tuple(part for part in re.split(pattern, value) if part.strip())

    def _from_ini(self, name: str) -> str | None:
        if self.parser is None or not self.parser.has_option(self.section, name):
            return None
        try:
            return self.parser.get(self.section, name)
        except configparser.InterpolationError as error:
            raise UsageError(
                f"{self._where(name)}: the value of {name} cannot be filled in: {_one_line(error)}",
                hint="write a percent sign that is meant as such twice: %%",
            ) from error

    def _fill(self, name: str, value: str) -> str:
        if self.toml is None:
            return value
        try:
            return value % {"here": self.toml.absolute().parent.as_posix()}
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(
                f"{self.toml}: the value of tool.alembic.{name} cannot be filled in: {value!r}",
                hint="only %(here)s is known there; write a percent sign that is meant as such twice: %%",
            ) from error

    def _where(self, name: str) -> str:
        if self.ini is None:
            return str(self.toml)
        section = ""
        for number, line in enumerate(decoded(self.ini).splitlines(), 1):
            if match := re.match(r"\[([^]]+)]", line):
                section = match[1]
            elif section == self.section and re.match(rf"{re.escape(name)}\s*[=:]", line, re.IGNORECASE):
                return f"{self.ini}:{number}"
        return str(self.ini)


def read(*, ini: Path | None, section: str, toml: Path | None) -> Options:
    """The options of these files; a file that is None is not read.

    Raises:
        UsageError: a file that is not what its name says, or an ini file without the section.
    """
    parser = None if ini is None else _parsed(ini)
    table = {} if toml is None else (tool_alembic(toml) or {})
    if (
        ini is not None
        and parser is not None
        and not parser.has_section(section)
        and (not table or section != "alembic")
    ):
        known = ", ".join(f"[{name}]" for name in alembic_sections(parser)) or "none with a script_location"
        raise UsageError(
            f"{ini} has no section [{section}]", hint=f"choose one by --alembic-name; the file has {known}"
        )
    return Options(ini=ini, section=section, toml=toml, parser=parser, table=table)


def alembic_sections(parser: configparser.ConfigParser) -> tuple[str, ...]:
    """The sections that look like Alembic's: those with a script_location of their own or by default."""
    return tuple(name for name in parser.sections() if parser.has_option(name, "script_location"))


def tool_alembic(toml: Path) -> Mapping[str, Any] | None:
    """The table `[tool.alembic]` of a pyproject.toml; None where it has none.

    Raises:
        UsageError: the file is not TOML.
    """
    try:
        document = tomllib.loads(decoded(toml))
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        raise UsageError(f"{toml}:{line[1] if line else 1}: not TOML: {_one_line(error)}") from error
    except RecursionError as error:
        raise UsageError(f"{toml} cannot be read: it is nested too deeply") from error
    tool = document.get("tool")
    table = tool.get("alembic") if isinstance(tool, dict) else None
    return table if isinstance(table, dict) else None


def decoded(file: Path) -> str:
    """The file's text: UTF-8 (with or without a mark), else in the locale's encoding, else Latin-1.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror or error}") from error
    for encoding in ("utf-8-sig", locale.getpreferredencoding(False)):
        try:
            return data.decode(encoding).replace("\r\n", "\n")
        except (UnicodeDecodeError, LookupError):
            continue
    return data.decode("latin-1").replace("\r\n", "\n")


def _parsed(ini: Path) -> configparser.ConfigParser:
    here = ini.absolute().parent.as_posix()
    parser = configparser.ConfigParser({"here": here.replace("%", "%%")})
    try:
        parser.read_string(decoded(ini), source=str(ini))
    except configparser.Error as error:
        where = f"{ini}:{line}" if (line := _line(error)) else str(ini)
        raise UsageError(f"{where}: not a configuration file that Alembic can read: {_one_line(error)}") from error
    return parser


def _line(error: configparser.Error) -> int | None:
    errors = getattr(error, "errors", None)
    line = errors[0][0] if errors else getattr(error, "lineno", None)
    return int(line) if line else None


def _one_line(error: Exception) -> str:
    """What the error says, without the file and line that stand before the sentence already."""
    return " ".join(_told(error)) or type(error).__name__


def _told(error: Exception) -> Iterator[str]:
    match error:
        case configparser.MissingSectionHeaderError():
            yield f"{error.line.strip()!r} stands before the first [section]"
        case configparser.DuplicateSectionError():
            yield f"section [{error.section}] twice"
        case configparser.DuplicateOptionError():
            yield f"option {error.option!r} in section [{error.section}] twice"
        case configparser.InterpolationMissingOptionError():
            yield f"it refers to %({error.reference})s, which has no value"
        case configparser.ParsingError():
            yield "; ".join(str(line).strip("'\"\\n ") for _, line in error.errors[:3])
        case configparser.Error():
            yield from str(error.message).split()
        case _:
            yield from str(error).split()
