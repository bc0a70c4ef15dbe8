"""Numbers, dates and times inside the limits that their type and their checks set. Pure."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Final

from neontest.postgres.fill_checks import Hints
from neontest.postgres.fill_texts import Draw

Series = Callable[[int], str]
"""The n-th ordinary value."""

_WHOLE: Final = {
    "int2": (-(2**15), 2**15 - 1),
    "int4": (-(2**31), 2**31 - 1),
    "int8": (-(2**63), 2**63 - 1),
    "oid": (0, 2**32 - 1),
}
DECIMAL: Final = frozenset({"numeric", "float4", "float8", "money"})
ORDERED: Final = frozenset({*_WHOLE, *DECIMAL, "date", "timestamp", "timestamptz"})
"""Types whose later ordinary values are the greater ones."""

_DAY: Final = 86_400
_START: Final = date(2020, 1, 1)
_FIRST_DAY: Final = date(1900, 1, 1)
_LAST_DAY: Final = date(2999, 12, 31)
_PLENTY: Final = 1_000
"""So many values away from a lone upper limit the ordinary ones begin."""


def whole(type: str, hint: Hints, draw: Draw) -> tuple[Series, tuple[str, ...]] | None:
    """Whole numbers; None for a type that has none."""
    if type not in _WHOLE:
        return None
    least, most = _WHOLE[type]
    low, high = _limits(hint, 0)
    plain = _window(low, high, least, most, start=2 + draw(40, "start"))
    return (lambda n: str(plain(n))), tuple(map(str, _edges(low, high, (0, -1, most), least, most)))


def decimal(type: str, modifier: int, hint: Hints, draw: Draw) -> tuple[Series, tuple[str, ...]]:
    """Numbers with a fraction, counted in units of the last digit that their type keeps."""
    if type == "numeric" and modifier >= 4:
        precision, scale = (modifier - 4) >> 16, (((modifier - 4) & 0x7FF) ^ 1024) - 1024
        most = 10**precision - 1
        corners = (most, 0, -most)
    else:
        scale = {"numeric": 2, "float4": 1, "float8": 2, "money": 0}[type]
        most = 10 ** {"numeric": 16, "float4": 6, "float8": 14, "money": 9}[type] - 1
        corners = (0, -most, most)
    low, high = _limits(hint, scale)
    step = 10**scale + 1 if scale > 0 else 1
    if most < 4 * _PLENTY * step:
        step = 1
    plain = _window(low, high, -most, most, start=min(most, step * (2 + draw(40, "start"))), step=step)
    edges = _edges(low, high, corners, -most, most)
    return (lambda n: _units(plain(n), scale)), tuple(_units(edge, scale) for edge in edges)


def dates(hint: Hints, draw: Draw) -> tuple[Series, tuple[str, ...]]:
    low, high = (_day(bound, up) for bound, up in ((hint.low, 1), (hint.high, -1)))
    years = [int(text) for text in hint.literals if text.isdigit() and 1900 <= int(text) < 2999]
    first = date(years[0], 1, 1) if years and low is None else _START
    start = first.toordinal() + draw(300, "start")
    plain = _window(low, high, _FIRST_DAY.toordinal(), _LAST_DAY.toordinal(), start=start)
    corners = (_FIRST_DAY.toordinal(), _LAST_DAY.toordinal(), date(2024, 2, 29).toordinal())
    edges = _edges(low, high, corners, corners[0], corners[1])
    return (lambda n: _date(plain(n))), tuple(map(_date, edges))


def moments(hint: Hints, draw: Draw, zone: str) -> tuple[Series, tuple[str, ...]]:
    """Timestamps, a day and an hour apart where there is room; in seconds from the first day."""
    low, high = (_second(bound, up) for bound, up in ((hint.low, 1), (hint.high, -1)))
    last = ((_LAST_DAY - _FIRST_DAY).days + 1) * _DAY - 1
    years = [int(text) for text in hint.literals if text.isdigit() and 1900 <= int(text) < 2999]
    first = date(years[0], 1, 1) if years and low is None else _START
    start = (first - _FIRST_DAY).days * _DAY + 8 * 3600 + draw(300 * _DAY, "start")
    room = (high if high is not None else last) - (low if low is not None else 0)
    step = _DAY + 3_723 if room > _PLENTY * _DAY else max(1, room // 1_009)
    plain = _window(low, high, 0, last, start=start, step=step)

    def written(second: int) -> str:
        return f"{datetime(1900, 1, 1) + timedelta(seconds=second)}{zone}"

    edges = tuple(map(written, _edges(low, high, (0, last), 0, last)))
    if low is None and high is None:
        edges = (*edges, f"2024-02-29 12:34:56.789012{zone}")
    return (lambda n: written(plain(n))), edges


def times(hint: Hints, draw: Draw, zone: str) -> tuple[Series, tuple[str, ...]]:
    low, high = (_time(bound, up) for bound, up in ((hint.low, 1), (hint.high, -1)))
    plain = _window(low, high, 0, _DAY - 1, start=8 * 3600 + draw(3600, "start"), step=67 if low or high else 673)
    edges = _edges(low, high, (0, _DAY - 1), 0, _DAY - 1)

    def written(second: int) -> str:
        return f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}{zone}"

    return (lambda n: written(plain(n))), tuple(map(written, edges))


def _window(
    low: int | None, high: int | None, least: int, most: int, *, start: int, step: int = 1
) -> Callable[[int], int]:
    """Numbers from `start` on, or from the nearest to it, that turn round at the limits."""
    top = min(most, high) if high is not None else most
    if low is not None:
        bottom = max(least, low)
    else:
        bottom = 1 if least < 1 <= top - _PLENTY else max(least, min(start, top - _PLENTY))
    if bottom > top:
        return lambda _: bottom
    room, first = top - bottom + 1, min(max(start, bottom), top)
    if room <= _PLENTY:
        step = 1
    return lambda n: bottom + (first - bottom + n * step) % room


def _edges(low: int | None, high: int | None, corners: tuple[int, ...], least: int, most: int) -> tuple[int, ...]:
    """The limits that a check sets, then the corners inside them."""
    said = tuple(each for each in (low, high) if each is not None)
    bottom, top = max(least, low if low is not None else least), min(most, high if high is not None else most)
    return tuple(dict.fromkeys(each for each in (*said, *corners) if bottom <= each <= top))


def _limits(hint: Hints, scale: int) -> tuple[int | None, int | None]:
    """The checks' limits in units of 10^-scale."""
    found: list[int | None] = []
    for bound, up in ((hint.low, True), (hint.high, False)):
        number = None
        if bound is not None:
            with contextlib.suppress(InvalidOperation, ValueError, OverflowError):
                exact = Fraction(Decimal(bound[0])) * Fraction(10) ** scale
                number = math.ceil(exact) if up else math.floor(exact)
                if number == exact and not bound[1]:
                    number += 1 if up else -1
        found.append(number)
    return found[0], found[1]


def _units(units: int, scale: int) -> str:
    if scale <= 0:
        return str(units * 10**-scale)
    digits = str(abs(units)).zfill(scale + 1)
    return f"{'-' if units < 0 else ''}{digits[:-scale]}.{digits[-scale:]}"


def _date(day: int) -> str:
    return date.fromordinal(day).isoformat()


def _day(bound: tuple[str, bool] | None, up: int) -> int | None:
    if bound is None:
        return None
    with contextlib.suppress(ValueError):
        return date.fromisoformat(bound[0][:10]).toordinal() + (0 if bound[1] else up)
    return None


def _second(bound: tuple[str, bool] | None, up: int) -> int | None:
    if bound is None:
        return None
    with contextlib.suppress(ValueError):
        moment = datetime.fromisoformat(bound[0])
        if (away := moment.utcoffset()) is not None:
            moment = moment.replace(tzinfo=None) - away
        return int((moment - datetime(1900, 1, 1)).total_seconds()) + (0 if bound[1] else up)
    return None


def _time(bound: tuple[str, bool] | None, up: int) -> int | None:
    if bound is None:
        return None
    with contextlib.suppress(ValueError):
        hours, minutes, seconds = (int(part) for part in bound[0][:8].split(":"))
        return hours * 3600 + minutes * 60 + seconds + (0 if bound[1] else up)
    return None
