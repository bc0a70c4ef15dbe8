"""How checks read SQL: what kind of statement it is, what it names, and how to do the same without blocking. Pure.

Nothing is parsed in full: a statement is known by its words, once comments and texts in it are out of the way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Final

import msgspec

from neontest.postgres.tokens import Unreadable, Words
from neontest.postgres.tokens import statements as tokenized

_NOISE: Final = re.compile(
    r"""(?P<name>"(?:[^"]|"")*")|--[^\n]*|/\*.*?\*/|(?<![\w$])\$(?P<tag>(?!\d)\w*)\$.*?(?:\$(?P=tag)\$|\Z)"""
    r"""|(?<![\w$])[eE]'(?:[^'\\]|\\.|'')*(?:'|\Z)|'(?:[^']|'')*(?:'|\Z)""",
    re.DOTALL,
)
"""A text goes on to the end where its own end was cut off. Only in an E'' text a backslash escapes."""
NAME: Final = r'(?:"(?:[^"]|"")*"|[\w$]+)'
QUALIFIED: Final = rf"{NAME}(?:\s*\.\s*{NAME})*"
_ALTER: Final = r"\bALTER (?:FOREIGN )?TABLE\b[^;]*\b"
_NEW: Final = rf"ADD (?:CONSTRAINT {NAME} )?"
_CONSTRAINED: Final = re.compile(
    rf"\bALTER TABLE (?:IF EXISTS )?(?:ONLY )?(?P<table>{QUALIFIED}) ADD CONSTRAINT (?P<name>{NAME})", re.IGNORECASE
)
_REQUIRED: Final = re.compile(
    rf"\bALTER TABLE (?:IF EXISTS )?(?:ONLY )?(?P<table>{QUALIFIED}) ALTER (?:COLUMN )?(?P<column>{NAME}) SET NOT NULL",
    re.IGNORECASE,
)
_INDEX: Final = re.compile(
    rf"\bCREATE (?P<unique>UNIQUE )?INDEX (?!CONCURRENTLY\b)(?P<missing>IF NOT EXISTS )?(?P<name>(?!ON\b){QUALIFIED} )?"
    rf"ON (?P<only>ONLY )?(?P<table>{QUALIFIED})(?P<rest>[^;]*)",
    re.IGNORECASE,
)
_CONSTRAINS: Final = re.compile(r"\bALTER TABLE\b[^;]*\b(?:UNIQUE|PRIMARY KEY|EXCLUDE)\b", re.IGNORECASE)
"""May add a constraint that has an index."""
_CONCURRENT_ON: Final = r"\bCONCURRENTLY\b(?! (?:FALSE|OFF|0)\b)"
_REINDEX: Final = re.compile(
    rf"\bREINDEX ?(?:\((?![^)]*{_CONCURRENT_ON})[^)]*\) ?)?(?P<what>TABLE|INDEX) (?!CONCURRENTLY\b)"
    rf"(?P<name>{QUALIFIED})",
    re.IGNORECASE,
)
_CONCURRENTLY: Final = re.compile(rf"\b(?:INDEX |REINDEX\b[^;]*|PARTITION [^;]*){_CONCURRENT_ON}", re.IGNORECASE)
_ROWS: Final = re.compile(r"(?:WITH\b[^;]*\)\s*)?(?:UPDATE|DELETE FROM|MERGE INTO|INSERT INTO[^;]*\bSELECT)\b", re.I)
_DEFINES: Final = re.compile(
    r"(?:ALTER|COMMENT|CREATE|DROP|GRANT|LOCK|RESET|REVOKE|SET)\b(?!.*\b(?:SELECT|EXECUTE|AS (?:VALUES|TABLE))\b)", re.I
)
_PLAIN_COLUMNS: Final = re.compile(r"\s*(?:USING BTREE )?\(\s*(\w+(?:\s*,\s*\w+)*)\s*\)\s*", re.IGNORECASE)

_PARENTHESES: Final = re.compile(r"\(.*\)")
_WORD: Final = re.compile(r"[\w$]+")


@lru_cache(maxsize=8192)  # each check asks anew for what a walk has sent three times
def bare(sql: str) -> str:
    """The SQL on one line, without comments; texts in quotes are empty."""
    return " ".join(_NOISE.sub(lambda found: found["name"] or ("''" if "'" in found[0][:2] else " "), sql).split())


def brief(sql: str, limit: int = 70) -> str:
    """The beginning of the SQL as a sentence can hold it, without the texts in it."""
    text = bare(sql)
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


@lru_cache(maxsize=8192)
def unquoted(name: str) -> tuple[str, ...]:
    """The parts of a name that may be qualified, as the catalogs have them."""
    parts = re.findall(NAME, name)
    return tuple(part[1:-1].replace('""', '"') if part.startswith('"') else part.lower() for part in parts)


def mentions(sql: str, relation: str) -> bool:
    """The text has the relation's own name, whether or not it means it."""
    name = unquoted(relation)[-1]
    return re.search(rf"(?<![\w$]){re.escape(name)}(?![\w$])", sql, re.IGNORECASE) is not None


def adds_required(sql: str) -> bool:
    """It adds a column that is NOT NULL: with rows in the table, only a default makes room for it."""
    return re.search(r"\bADD\b(?! CONSTRAINT\b)[^;]*\bNOT NULL\b", bare(sql), re.IGNORECASE) is not None


class Mentioned:
    """Which of many relations a text has the names of, at a cost that the number of relations does not matter for."""

    def __init__(self) -> None:
        self._relations: dict[str, set[str]] = {}
        self._odd: set[str] = set()
        """Whose names are more than a word."""

    def add(self, relations: Iterable[str]) -> None:
        for relation in relations:
            name = unquoted(relation)[-1].lower()
            if _WORD.fullmatch(name):
                self._relations.setdefault(name, set()).add(relation)
            else:
                self._odd.add(relation)

    @property
    def all(self) -> set[str]:
        return self._odd.union(*self._relations.values())

    def by(self, sql: str) -> set[str]:
        """What `mentions` is true of."""
        found = {each for each in self._odd if mentions(sql, each)}
        return found.union(*(self._relations.get(word, ()) for word in {*_WORD.findall(sql.lower())}))


def opaque(sql: str) -> bool:
    """What it does to which table need not stand in its text: it runs code."""
    return re.match(r"(?:DO|CALL|SELECT|WITH|EXECUTE)\b", bare(sql), re.IGNORECASE) is not None


def defines(sql: str) -> bool:
    """It changes what there is, or how it is shaped, and writes no rows anywhere else; it may be several statements."""
    return all(_DEFINES.match(each) for each in map(str.strip, bare(sql).split(";")) if each)


def shown(relation: str) -> str:
    """A qualified name as a person says it: `public` is left out."""
    return relation.removeprefix("public.")


def moves_rows(sql: str) -> bool:
    """It changes as many rows as it finds, not those that stand in its text."""
    return _ROWS.match(bare(sql)) is not None


def concurrent(sql: str) -> bool:
    """It has CONCURRENTLY in a place where Postgres refuses a transaction around it."""
    return _CONCURRENTLY.search(bare(sql)) is not None


class Build(msgspec.Struct, frozen=True, kw_only=True):
    """An index that is built while writers wait."""

    table: str | None
    """As the SQL names it; None where it names only the index."""
    what: str
    fix: str | None = None
    """The code that builds it beside them."""
    with_column: bool = False
    """For a column that is added with it."""
    again: bool = False
    """REINDEX builds it."""


def builds(sql: str) -> Iterator[Build]:
    """Every index that the SQL builds without CONCURRENTLY.

    An index ON ONLY a partitioned table is none: nothing is built.
    """
    text, certain = bare(sql), exact(sql)
    for found in _INDEX.finditer(text):
        if not found["only"]:
            name = (found["name"] or "").strip()
            yield Build(table=found["table"], what=f"index {name}".strip(), fix=_created(found) if certain else None)
    with suppress(Unreadable):
        for words in tokenized(text.removesuffix("…")) if _CONSTRAINS.search(text) else ():
            if words.has("ALTER", "TABLE"):
                yield from _by_constraint(words, certain=certain is not None)
    for found in _REINDEX.finditer(text):
        again = text[: found.start("name")] + "CONCURRENTLY " + text[found.start("name") :]
        on = found["name"] if found["what"].upper() == "TABLE" else None
        fix = _autocommit(_execute(again)) if certain else None
        yield Build(table=on, what=f"{found['name']} again", fix=fix, again=True)


def exact(sql: str) -> str | None:
    """One statement on one line, without comments; None where there are more, or texts in it that `bare` empties."""
    text = bare(sql).rstrip("; ")
    # A driver may have doubled each %; a very long statement is recorded without its end.
    return None if ";" in text or "''" in text or "$" in sql or "%" in sql or text.endswith("…") else text


def _created(found: re.Match[str]) -> str:
    """CREATE INDEX, concurrently: by Alembic's own operation where it is a plain list of columns."""
    columns = _PLAIN_COLUMNS.fullmatch(found["rest"])
    table, name = unquoted(found["table"]), unquoted(found["name"] or "")
    if columns is None or not name or len(table) > 2 or found["missing"]:
        rest = f"{found['missing'] or ''}{found['name'] or ''}ON {found['table']}{found['rest'].rstrip()}"
        return _autocommit(_execute(f"CREATE {found['unique'] or ''}INDEX CONCURRENTLY {rest}"))
    names = [unquoted(each)[0] for each in columns[1].split(",")]
    schema = f", schema={table[0]!r}" if len(table) == 2 else ""
    unique = ", unique=True" if found["unique"] else ""
    return _autocommit(
        f"op.create_index({name[-1]!r}, {table[-1]!r}, {names!r}{unique}{schema}, postgresql_concurrently=True)"
    )


def _by_constraint(words: Words, *, certain: bool) -> Iterator[Build]:
    """The indexes of the constraints that ALTER TABLE adds, by themselves or with a column."""
    words.has("IF", "EXISTS")
    words.has("ONLY")
    table = _written(words)
    words.has("*")
    actions = words.parts()
    for action in actions:
        with suppress(Unreadable):
            action.needs("ADD")
            name = _written(action) if action.has("CONSTRAINT") else None
            constraint = _indexing(action)
            if constraint and not action.has("USING", "INDEX"):
                fix = _attached(table, name, constraint, action) if certain and len(actions) == 1 else None
                yield Build(table=table, what=f"the index of {name or constraint}", fix=fix)
            elif not constraint and name is None:
                action.has("COLUMN")
                action.has("IF", "NOT", "EXISTS")
                column = _written(action)
                action.until("UNIQUE", "PRIMARY")
                if _indexing(action):
                    yield Build(table=table, what=f"the index of the new column {column}", with_column=True)


def _written(words: Words) -> str:
    """Take a name, as it stands there."""
    given = words.rest
    words.qualified()
    return words.sql[given[0].start : given[-len(words.rest) - 1].end]


def _indexing(words: Words) -> str | None:
    """Take the beginning of a constraint that has an index."""
    kinds = ("UNIQUE",), ("PRIMARY", "KEY"), ("EXCLUDE",)
    return next((" ".join(each) for each in kinds if words.has(*each)), None)


def _attached(table: str, name: str | None, constraint: str, words: Words) -> str | None:
    """A unique index built concurrently, and a constraint that takes it over."""
    columns = words.text
    if not name or constraint == "EXCLUDE" or not re.fullmatch(r"\([^()]*\)", columns):
        return None
    build = f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON {table} {columns}"
    use = f"ALTER TABLE {table} ADD CONSTRAINT {name} {constraint} USING INDEX {name}"
    return f"{_autocommit(_execute(build))}\n{_execute(use)}"


def _autocommit(line: str) -> str:
    return f"with op.get_context().autocommit_block():\n    {line}"


def _execute(sql: str) -> str:
    return f"op.execute({sql!r})"


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of statement that can hold others up, and what to do instead."""

    name: str
    pattern: re.Pattern[str]
    safe: str
    harmless: re.Pattern[str] | None = None
    """What makes it quick."""


def _kind(name: str, pattern: str, safe: str, harmless: str | None = None) -> Kind:
    quick = re.compile(harmless, re.IGNORECASE) if harmless else None
    return Kind(name=name, pattern=re.compile(pattern, re.IGNORECASE), safe=safe, harmless=quick)


KINDS: Final = (
    _kind(
        "foreign key",
        _ALTER + r"ADD\b[^;]*\b(?:FOREIGN KEY|REFERENCES)\b",
        "add the foreign key NOT VALID, and VALIDATE CONSTRAINT in a later revision: that reads the rows and blocks"
        " nobody",
        r"\bNOT VALID\b",
    ),
    _kind(
        "check",
        _ALTER + _NEW + r"CHECK\b",
        "add the CHECK NOT VALID, and VALIDATE CONSTRAINT in a later revision: that reads the rows and blocks nobody",
        r"\bNOT VALID\b",
    ),
    _kind(
        "set not null",
        _ALTER + r"SET NOT NULL\b",
        "add a CHECK (column IS NOT NULL) NOT VALID; in a later revision VALIDATE it, then SET NOT NULL, which needs no"
        " scan after that, and drop the CHECK",
    ),
    _kind(
        "type",
        _ALTER + rf"ALTER (?:COLUMN )?{NAME} (?:SET DATA )?TYPE\b",
        "add a new column of that type, fill it in batches in a revision of its own, and swap the two by renaming",
    ),
    _kind(
        "unique",
        _ALTER + r"ADD\b[^;]*(?<!\")\b(?:UNIQUE|PRIMARY KEY|EXCLUDE)\b",
        "build the unique index with CONCURRENTLY in an autocommit_block, then ADD CONSTRAINT … USING INDEX",
        r"\bUSING INDEX\b",
    ),
    _kind(
        "index",
        r"\bCREATE (?:UNIQUE )?INDEX (?!CONCURRENTLY)|\bREINDEX\b(?![^;]*" + _CONCURRENT_ON + ")",
        "build the index with CONCURRENTLY in an autocommit_block",
        r"\bON ONLY\b",
    ),
    _kind(
        "attach",
        _ALTER + r"ATTACH PARTITION\b",
        "give the new partition a CHECK of its bounds first, NOT VALID and then validated: attaching needs no scan",
    ),
    _kind(
        "storage",
        _ALTER + r"SET (?:LOGGED|UNLOGGED|TABLESPACE|ACCESS METHOD)\b",
        "do that at a time when nobody needs the table, outside of a deploy",
    ),
    _kind(
        "refresh",
        r"\bREFRESH MATERIALIZED VIEW (?!CONCURRENTLY)",
        "REFRESH MATERIALIZED VIEW CONCURRENTLY, which needs a unique index on the view, keeps it readable",
    ),
    _kind("pack", r"\bVACUUM [^;]*\bFULL\b|\bCLUSTER\b", "leave VACUUM FULL and CLUSTER out of migrations"),
    _kind(
        "default",
        _ALTER + r"ADD (?:COLUMN )?[^;]*\b(?:DEFAULT|GENERATED|\w*SERIAL)\b",
        "add the column without the default that differs by row, SET DEFAULT for new rows, and fill the old ones in"
        " batches in a revision of its own",
    ),
)  # fmt: skip


def kind(sql: str) -> Kind | None:
    """The first of the kinds that the SQL is; None for what is quick by its nature, or not known."""
    text = bare(sql)
    return next((each for each in KINDS if each.pattern.search(text) and not harmless(each, text)), None)


def harmless(kind: Kind, text: str) -> bool:
    return kind.harmless is not None and kind.harmless.search(text) is not None


def rewritten(sql: str) -> str | None:
    """The code of the safe way, in Alembic, where the statement is simple enough to know it; steps for later
    revisions are marked."""
    text = exact(sql)
    if text is None:
        return None
    built = next(builds(sql), None)
    if built is not None:
        return built.fix
    found, what = _CONSTRAINED.search(text), kind(sql)
    one = "," not in _PARENTHESES.sub("", text)
    if found and one and what is not None and what.name in ("foreign key", "check"):
        validate = f"ALTER TABLE {found['table']} VALIDATE CONSTRAINT {found['name']}"
        return "\n".join((_execute(f"{text} NOT VALID"), "# in a later revision:", _execute(validate)))
    found = _REQUIRED.fullmatch(text)
    if found is None:
        return None
    table, column = found["table"], found["column"]
    name = f"{unquoted(table)[-1]}_{unquoted(column)[0]}_set"
    name = name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else f'"{name.replace(chr(34), "")}"'
    steps = (
        f"ADD CONSTRAINT {name} CHECK ({column} IS NOT NULL) NOT VALID", f"VALIDATE CONSTRAINT {name}",
        f"ALTER COLUMN {column} SET NOT NULL", f"DROP CONSTRAINT {name}",
    )  # fmt: skip
    first, *later = (_execute(f"ALTER TABLE {table} {step}") for step in steps)
    return "\n".join((first, "# in a later revision:", *later))
