"""Values by type, as the texts that Postgres reads them from: ordinary and distinct ones, and those at the edges. Pure.

The n-th ordinary value of a column is always the same for a seed, and differs from the n-th of another n as long as the
type has room for it; texts differ even where upper and lower case are alike.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Final

import msgspec

from neontest.postgres import fill_numbers as numbers
from neontest.postgres import fill_texts as texts
from neontest.postgres.fill_checks import Hints, hints
from neontest.postgres.fill_model import Type
from neontest.postgres.fill_numbers import Series
from neontest.postgres.fill_texts import Draw

_TIMES: Final = {"time": "", "timetz": "+00"}
_MOMENTS: Final = {"timestamp": "", "timestamptz": "+00"}
_DEEPEST: Final = 6


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where one column's values come from."""

    plain: Series
    edges: tuple[str, ...] = ()
    """Values at the limits, the most telling first."""
    others: Callable[[int], tuple[str, ...]] = lambda _: ()
    """What else could be tried where the ordinary ones are refused."""


def source(
    type: Type, modifier: int, *, name: str, hint: Hints, draw: Draw, unicode: bool, depth: int = 0
) -> Source | None:
    """Values for a column of this type; None where no value of the type is known.

    `draw(below, *of)` gives the same number for the same seed and arguments; `unicode` says that the database can
    hold more than ASCII.
    """
    if depth > _DEEPEST:
        return None

    def inner(of: Type, modifier: int, hint: Hints | None = None) -> Source | None:
        return source(
            of, modifier, name=name, hint=hint or Hints(), draw=draw, unicode=unicode, depth=depth + 1
        )  # fmt: skip

    match type.kind:
        case "d" if type.of is not None:
            said = hints(type.checks, ("VALUE",))["VALUE"]
            found = inner(type.of, type.modifier, said.and_also(hint))
        case "e":
            found = _cycle(tuple(label for label in type.labels if not hint.one_of or label in hint.one_of), draw)
            found = found or _cycle(type.labels, draw)
        case "A" if type.of is not None:
            found = _array(inner(type.of, modifier), hint)
        case "r" if type.of is not None:
            found = _range(inner(type.of, -1), type.of.name in numbers.ORDERED)
        case "m" if type.of is not None and type.of.of is not None:
            found = _multirange(inner(type.of.of, -1), type.of.of.name in numbers.ORDERED)
        case "c":
            found = _composite([inner(of, modifier) for of, modifier in type.fields])
        case "b":
            found = _scalar(type.name, modifier, name, hint, draw, unicode)
        case _:
            found = None
    if found is None or not hint.one_of or type.kind in "de":
        return found
    return _cycle(hint.one_of, draw)


def _scalar(type: str, modifier: int, name: str, hint: Hints, draw: Draw, unicode: bool) -> Source:
    if (whole := numbers.whole(type, hint, draw)) is not None:
        return _source(whole, "1", "2")
    if type in numbers.DECIMAL:
        return _source(numbers.decimal(type, modifier, hint, draw), "1", "0.5")
    if type == "date":
        return _source(numbers.dates(hint, draw))
    if type in _MOMENTS:
        return _source(numbers.moments(hint, draw, _MOMENTS[type]))
    if type in _TIMES:
        return _source(numbers.times(hint, draw, _TIMES[type]))
    if type == "bool":
        return Source(plain=lambda n: ("true", "false")[n % 2])
    if type in texts.LIMITS or type in ("bpchar", "varchar"):
        longest = modifier - 4 if type in ("bpchar", "varchar") and modifier > 4 else texts.LIMITS.get(type)
        if type == "bpchar" and modifier < 0:
            longest = 1 if modifier == 1 else None
        plain, edges, others = texts.text(name, longest, hint, draw, unicode=unicode)
        return Source(plain=plain, edges=edges, others=others)
    plain, edges, others = texts.special(type, modifier, hint, draw, unicode=unicode)
    return Source(plain=plain, edges=edges, others=others)


def _source(found: tuple[Series, tuple[str, ...]], *more: str) -> Source:
    plain, edges = found
    return Source(plain=plain, edges=edges, others=lambda n: (*edges, plain(n + 1), *more))


def _cycle(values: tuple[str, ...], draw: Draw) -> Source | None:
    """Each value in its turn."""
    if not values:
        return None
    start = draw(len(values), "start")
    return Source(plain=lambda n: values[(start + n) % len(values)], others=lambda _: values)


def _array(element: Source | None, hint: Hints) -> Source | None:
    if element is None:
        return Source(plain=lambda _: "{}")
    least = max(1, hint.shortest)
    most = max(least, min(3, hint.longest if hint.longest is not None else 3))

    def plain(n: int) -> str:
        return _braces([element.plain(most * n + each) for each in range(least + n % (most - least + 1))])

    def others(n: int) -> tuple[str, ...]:
        said = hint.literals
        return ("{}", _braces(said), *(_braces([each]) for each in said), *map(_one, element.others(n)))

    edges = (*(("{}",) if not hint.shortest else ()), *(_one(edge) for edge in element.edges[:2]))
    return Source(plain=plain, edges=edges if hint.longest is None else (), others=others)


def _range(bound: Source | None, ordered: bool) -> Source | None:
    """Ranges that never overlap, so that an excluding constraint takes them."""
    if bound is None:
        return Source(plain=lambda _: "empty")
    plain = bound.plain

    def written(n: int) -> str:
        low, high = plain(2 * n), plain(2 * n + 1)
        return f"[{_quoted(low)},{_quoted(high)})" if ordered else f"[{_quoted(low)},{_quoted(low)}]"

    return Source(plain=written, edges=("empty",), others=lambda n: (f"[{_quoted(plain(2 * n))},)", "empty"))


def _multirange(bound: Source | None, ordered: bool) -> Source:
    one = _range(bound, ordered)
    if one is None or not ordered:
        return Source(plain=lambda _: "{}")
    return Source(plain=lambda n: f"{{{one.plain(2 * n)},{one.plain(2 * n + 1)}}}", edges=("{}",))


def _composite(fields: list[Source | None]) -> Source:
    def written(n: int) -> str:
        return "(" + ",".join(_quoted(each.plain(n)) if each else "" for each in fields) + ")"

    def others(n: int) -> tuple[str, ...]:
        tried = [each.others(n)[:4] if each else () for each in fields]
        rows = itertools.zip_longest(*tried, fillvalue="")
        return tuple("(" + ",".join(_quoted(each) if each else "" for each in row) + ")" for row in rows)

    return Source(plain=written, others=others)


def _braces(values: list[str]) -> str:
    return "{" + ",".join(map(_quoted, values)) + "}"


def _one(value: str) -> str:
    return _braces([value])


def _quoted(value: str) -> str:
    """The value inside an array, a range or a composite."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
