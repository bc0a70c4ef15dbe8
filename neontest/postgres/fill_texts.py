"""Texts, and all other types that are known by their texts. Pure."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable
from typing import Final, Protocol

from neontest.postgres import fill_pattern
from neontest.postgres.fill_checks import Hints

Series = Callable[[int], str]
Made = tuple[Series, tuple[str, ...], Callable[[int], tuple[str, ...]]]
"""Ordinary values, those at the edges, what else to try."""


class Draw(Protocol):
    """Numbers that look thrown and are not."""

    def __call__(self, below: int, /, *of: object) -> int: ...


LIMITS: Final[dict[str, int | None]] = {"text": None, "citext": None, "name": 63, "char": 1}
"""The longest text of types that have no modifier; varchar and bpchar have one."""

_UNBOUNDED: Final = 200
_LONGEST: Final = 10_000
"""No text is longer, whatever its type allows."""
_FOREIGN: Final = "é漢字🙂"
_WORDS: Final = (
    "amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "hazel", "iris", "jade", "kiwi", "lotus", "maple",
    "north", "olive", "pearl", "quartz", "river", "stone", "tulip", "umber", "violet", "willow", "xenon", "yarrow",
    "zephyr",
)  # fmt: skip
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_NAMED: Final[tuple[tuple[str, Callable[[str, int], str]], ...]] = (
    (r"e?mail(_?address)?$|^email", lambda word, n: f"{word}.{n}@example.com"),
    (r"(^|_)(url|uri|link|href|website|homepage)$", lambda word, n: f"https://example.com/{word}/{n}"),
    (r"phone|mobile|(^|_)fax$", lambda _, n: f"+1555{n:07}"),
    (r"(^|_)u?guid$|uuid", lambda word, n: uuid(word, n)),
    (r"json", lambda word, n: f'{{"{word}": {n}}}'),
    (r"_(at|on)$|(^|_)(date|time|timestamp|birthday)$", lambda _, n: _day(n)),
    (r"(^|_)(count|amount|price|cost|total|quantity|qty|number|num|year|age|weight|height|size)$", lambda _, n: str(n)),
    (r"(^|_)(score|rank|position|zip|zipcode)$", lambda _, n: str(n)),
)
"""What a column's name lets one expect of its texts, so that a later cast of them is met with what it would meet."""


def draw(seed: int, *about: object) -> Draw:
    """Numbers for this seed and whatever they are about."""

    def drawn(below: int, /, *of: object) -> int:
        digest = hashlib.blake2b(repr((seed, *about, *of)).encode(), digest_size=8).digest()
        return int.from_bytes(digest) % below

    return drawn


def uuid(*of: object) -> str:
    digest = hashlib.blake2b(repr(of).encode(), digest_size=16).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:]}"


def _day(n: int) -> str:
    return f"20{10 + n // 336 % 90}-{n // 28 % 12 + 1:02}-{n % 28 + 1:02}"


def text(name: str, longest: int | None, hint: Hints, draw: Draw, *, unicode: bool) -> Made:
    """Texts no longer than `longest`, and as the checks want them."""
    most = min((each for each in (longest, hint.longest) if each is not None), default=None)
    make = next((make for pattern, make in _NAMED if re.search(pattern, name.lower())), None)

    def fit(found: str, n: int) -> str:
        if most is not None and len(found) > most:
            found = _compact(n, most, draw)
        return found.ljust(hint.shortest, "x")

    def plain(n: int) -> str:
        word = _WORDS[draw(len(_WORDS), "word", n)]
        found = fit(make(word, n + 1) if make else f"{word}-{n + 1}", n)
        return found.upper() if hint.upper else found

    def others(n: int) -> tuple[str, ...]:
        word = f"{_WORDS[n % len(_WORDS)]}{n}"
        usual = (word, word.upper(), word.capitalize(), str(n), f"{word}@example.com", f"https://example.com/{word}")
        formal = (f"/{word}", f"#{n:06x}", f"{n:02}:00", _day(n), uuid(n), "{}", "", _compact(n, 2, draw).upper(), "a")
        lengths = [int(each) for each in hint.literals if each.isdigit() and 0 < int(each) <= _UNBOUNDED]
        joined = (made for each in dict.fromkeys(hint.literals) if each for made in (each + word, word + each))
        return (
            *hint.literals,
            *joined,
            *usual,
            *formal,
            *(_compact(n, each, draw).ljust(each, "x") for each in lengths),
        )

    patterned = _patterned(hint, draw, most)
    if patterned:
        return patterned, (), lambda n: (*others(n), plain(n))
    length = _UNBOUNDED if most is None else min(most, _LONGEST)
    edges = [("longest " * (length // 8 + 1))[:length].rstrip().ljust(length, "t")]
    if unicode and (most is None or most >= len(_FOREIGN) >= hint.shortest):
        edges.append(_FOREIGN.ljust(hint.shortest, "x"))
    if not hint.shortest:
        edges.append("")
    # What is called a number or a date is one, however long its column.
    return plain, tuple(edges) if make is None and not hint.upper else (), others


def _patterned(hint: Hints, draw: Draw, most: int | None) -> Series | None:
    """Texts that the first pattern matches which is understood."""
    makers: list[Callable[[int, int], str | None]] = []
    for pattern in hint.patterns:
        makers.append(lambda n, again, of=pattern: fill_pattern.matching(of, _counted(draw, n, again)))  # type: ignore[misc]
    for pattern in hint.likes:
        makers.append(lambda n, again, of=pattern: fill_pattern.like(of, _counted(draw, n, again)))  # type: ignore[misc]
    understood = [make for make in makers if make(0, 0) is not None]
    if not understood:
        return None

    def plain(n: int) -> str:
        found = ""
        for again in range(20):
            found = understood[n % len(understood)](n, again) or ""
            if hint.shortest <= len(found) and (most is None or len(found) <= most):
                break
        return found

    return plain


def _counted(draw: Draw, n: int, again: int) -> Callable[[int], int]:
    """Each call draws anew."""
    calls = iter(range(1_000_000))
    return lambda below: draw(below, "pattern", n, again, next(calls))


def _compact(n: int, most: int, draw: Draw) -> str:
    """The number in few characters, behind as much of a word as there is room for."""
    if most <= 0:
        return ""
    digits = ""
    while True:
        n, last = divmod(n, len(_DIGITS))
        digits = _DIGITS[last] + digits
        if not n:
            break
    if len(digits) >= most:
        return digits[-most:]
    return (_WORDS[draw(len(_WORDS), "short")][: most - len(digits) - 1] + "-" + digits)[-most:].lstrip("-")


def special(type: str, modifier: int, hint: Hints, draw: Draw, *, unicode: bool) -> Made:
    """Values of every other type, by its name; of an unknown one, what its input may take."""
    salt = draw(200, "start")
    made = _made(salt)
    if type in ("json", "jsonb"):
        return _json(hint, salt, unicode=unicode)
    if type in ("bit", "varbit"):
        width = modifier if modifier > 0 else 1 if type == "bit" else 12
        zeros = ("0" * width, "1" * width)
        return (lambda n: f"{(n + 1) % 2 ** min(width, 60):0{width}b}"), zeros if type == "bit" else (*zeros, ""), _none
    if type in ("vector", "halfvec"):
        size = modifier if modifier > 0 else 3
        return (lambda n: "[" + ",".join(f"{(n + each) % 7 + 1}" for each in range(size)) + "]"), (), _none
    if type in made:
        return made[type], _EDGES.get(type, ()), lambda _: tuple(hint.literals)
    return (
        (lambda n: str(n + 1)),
        (),
        lambda n: (*hint.literals, *(make(n) for make in made.values()), f"a{n}", "[1,2,3]", "POINT(1 2)"),
    )


def _none(_: int) -> tuple[str, ...]:
    return ()


def _json(hint: Hints, salt: int, *, unicode: bool) -> Made:
    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    def others(n: int) -> tuple[str, ...]:
        keys = ", ".join(f'{quoted(each)}: "{n}"' for each in dict.fromkeys(hint.literals))
        numbers = ", ".join(f"{quoted(each)}: {n}" for each in dict.fromkeys(hint.literals))
        return ("{}", "[]", f"[{n}]", f'"{n}"', str(n), f"{{{keys}}}", f"{{{numbers}}}")

    def plain(n: int) -> str:
        word = _WORDS[(n + salt) % len(_WORDS)]
        return f'{{"number": {n + salt}, "text": "{word}-{n + 1}", "list": [1, 2], "set": {{"on": true}}}}'

    return plain, ("{}", *((f'{{"text": "{_FOREIGN}"}}',) if unicode else ())), others


_EDGES: Final = {
    "bytea": ("\\x", "\\x00ff"),
    "interval": ("0", "-1 days"),
    "tsvector": ("",),
    "hstore": ("",),
    "inet": ("::1",),
}

_FIXED: Final = {
    "regclass": "pg_catalog.pg_class",
    "regtype": "integer",
    "regproc": "pg_catalog.now",
    "regprocedure": "pg_catalog.now()",
    "regrole": "pg_monitor",
    "regnamespace": "pg_catalog",
    "regcollation": 'pg_catalog."C"',
    "regconfig": "pg_catalog.simple",
    "regdictionary": "pg_catalog.simple",
    "regoper": "pg_catalog.||/",
    "regoperator": "pg_catalog.+(integer,integer)",
    "isbn": "978-0-393-04002-9",
    "isbn13": "978-0-393-04002-9",
    "ean13": "978-0-393-04002-9",
    "issn": "1436-4522",
}
"""Types of which one value is as good as another."""


def _always(text: str) -> Series:
    return lambda _: text


@functools.cache
def _made(salt: int) -> dict[str, Series]:
    def word(n: int) -> str:
        return _WORDS[(n + salt) % len(_WORDS)]

    def hexes(n: int, count: int) -> str:
        digits = f"{(salt << 16) + n:0{count * 2}x}"[-count * 2 :]
        return ":".join(digits[at : at + 2] for at in range(0, count * 2, 2))

    return {name: _always(text) for name, text in _FIXED.items()} | {
        "uuid": lambda n: uuid(salt, n),
        "bytea": lambda n: f"\\x{salt:02x}{n:06x}",
        "interval": lambda n: f"{n + 1} days {(salt + n) % 24}:30:00",
        "inet": lambda n: f"10.{salt}.{n // 250 % 250}.{n % 250 + 1}",
        "cidr": lambda n: f"10.{salt}.{n // 60 % 250}.{n % 60 * 4}/30",
        "macaddr": lambda n: hexes(n, 6),
        "macaddr8": lambda n: hexes(n, 8),
        "xml": lambda n: f'<item number="{n + 1}">{word(n)}</item>',
        "tsvector": lambda n: f"'{word(n)}':1 '{n + 1}':2",
        "tsquery": lambda n: f"'{word(n)}' & '{n + 1}'",
        "point": lambda n: f"({salt + n},{n})",
        "line": lambda n: f"{{1,-1,{salt + n}}}",
        "lseg": lambda n: f"[(0,{salt}),({n + 1},{n + 2})]",
        "box": lambda n: f"({3 * n + 2},{salt + 1}),({3 * n},{salt})",
        "path": lambda n: f"[(0,0),({n + 1},{salt}),(2,{n})]",
        "polygon": lambda n: f"((0,0),({n + 1},0),({n + 1},{salt + 1}))",
        "circle": lambda n: f"<({5 * n},{salt}),2>",
        "pg_lsn": lambda n: f"0/{(salt << 20) + n:X}",
        "jsonpath": lambda n: f'$."{word(n)}"[{n}]',
        "pg_snapshot": lambda n: f"{n + 10}:{n + 20}:",
        "txid_snapshot": lambda n: f"{n + 10}:{n + 20}:",
        "xid": lambda n: str(n + 10),
        "xid8": lambda n: str(n + 10),
        "cid": lambda n: str(n + 10),
        "tid": lambda n: f"(0,{n + 1})",
        "oidvector": lambda n: f"{n + 1} {n + 2}",
        "int2vector": lambda n: f"{n % 30000 + 1} 2",
        "refcursor": word,
        "hstore": lambda n: f'"{word(n)}"=>"{n + 1}"',
        "ltree": lambda n: f"top.{word(n)}_{n + 1}",
        "lquery": lambda n: f"top.{word(n)}_{n + 1}",
        "cube": lambda n: f"({n}, {salt}, 1)",
        "seg": lambda n: f"{n} .. {n + 1}",
        "geometry": lambda n: f"POINT({n % 90} {salt % 90})",
        "geography": lambda n: f"POINT({n % 90} {salt % 90})",
    }
