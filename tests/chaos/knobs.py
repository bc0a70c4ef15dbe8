"""What can go wrong with a Neon API and its computes, one entry a fault."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from tests.chaos.cables import Cables
from tests.chaos.door import DROPPED, Asked, Clear, Fault, Reply

JSON = {"Content-Type": "application/json"}
HTML = {"Content-Type": "text/html; charset=UTF-8"}
PAGE = b"<!DOCTYPE html><html><head><title>neon.tech | %d</title></head><body>Error code <b>%d</b></body></html>"
FINE, USAGE, NO_TEST, LEFT = 0, 2, 3, 4
TIMEOUT = 3.0
"""Seconds of a run whose create takes longer."""

OFTEN, NEVER_AGAIN = 3, 1_000_000
ALL = re.compile("")
CREATE = re.compile(r"POST .*/branches$")
DELETE = re.compile(r"DELETE ")
OPERATION = re.compile(r"GET .*/operations/")
PASSWORD = re.compile(r"GET .*/connection_uri$")
MOMENT = re.compile(rb'"(\w+_at|parent_timestamp)": ?"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)"')


@dataclass(frozen=True, kw_only=True)
class Knob:
    """One fault."""

    id: str
    about: str
    make: Callable[[int], Fault] = field(default=lambda number: Clear())
    """The fault as it stands in the door, for the call of this number among those at which it can be."""
    codes: frozenset[int] = frozenset({FINE})
    """Exit codes that are right."""
    calls: re.Pattern[str] | None = ALL
    """At which calls it can be; None: it is there all the time, and the number means nothing."""
    arguments: tuple[str, ...] = ()
    cables: Callable[[Cables], None] | None = None
    why: str = ""
    """What a report must say where the run does not end well."""


class Counted:
    """Of the calls of one kind, so many from the one of this number on (1 is the first)."""

    def __init__(self, first: int, times: int, only: re.Pattern[str]) -> None:
        self._first, self._times, self._only = first, times, only
        self.since = ALL
        """The first call that is like this is the first that counts."""
        self._lock = threading.Lock()
        self._seen: list[int] = []
        """The numbers of the calls of that kind."""
        self.hit: list[str] = []

    def holds(self, asked: Asked) -> bool:
        with self._lock:
            if self._only.match(asked.call) is None or not (self._seen or self.since.match(asked.call)):
                return False
            if asked.number not in self._seen:
                self._seen.append(asked.number)
            found = self._first <= self._seen.index(asked.number) + 1 < self._first + self._times
            if found:
                self.hit.append(asked.call)
            return found


@dataclass
class Answered(Clear):
    """These calls are answered by the door."""

    calls: Counted
    reply: Reply
    acts: bool = False
    """The API carries them out all the same."""
    pause: float = 0.0

    def before(self, asked: Asked) -> Reply | Asked | None:
        return self.reply if not self.acts and self.calls.holds(asked) else None

    def after(self, asked: Asked, reply: Reply) -> Reply:
        if not (self.acts and self.calls.holds(asked)):
            return reply
        time.sleep(self.pause)
        return self.reply


@dataclass
class Told(Clear):
    """These answers of the API are told otherwise."""

    calls: Counted
    otherwise: Callable[[Asked, Reply], Reply]

    def after(self, asked: Asked, reply: Reply) -> Reply:
        return self.otherwise(asked, reply) if self.calls.holds(asked) else reply


@dataclass
class Pages(Clear):
    """Lists come in pages of this size, whatever was asked for."""

    size: int = 2

    def before(self, asked: Asked) -> Reply | Asked | None:
        query = re.sub(r"\blimit=\d+", f"limit={self.size}", asked.query)
        return replace(asked, query=query)


def said(status: int, message: str, code: str = "", **headers: str) -> Reply:
    body = f'{{"request_id": "00000000-0000-0000-0000-000000000000", "code": "{code}", "message": "{message}"}}'
    return Reply(status, body.encode(), JSON | {name.replace("_", "-"): value for name, value in headers.items()})


def page(status: int) -> Reply:
    return Reply(status, PAGE % (status, status), HTML)


LOCKED = said(423, "project already has running conflicting operations, scheduling of new ones is prohibited")
MANY = said(429, "too many requests")
KEY = said(401, "supplied credentials do not pass authentication")
NO_PASSWORD = said(412, "storing passwords is disabled for this project")
FULL = said(422, "branches limit exceeded", "BRANCHES_LIMIT_EXCEEDED")


def repeated(reply: Reply, times: int, only: re.Pattern[str] = ALL) -> Callable[[int], Fault]:
    return lambda number: Answered(Counted(number, times, only), reply)


def acted(reply: Reply, only: re.Pattern[str] = ALL, *, pause: float = 0.0) -> Callable[[int], Fault]:
    """The API acts, and this is what comes back."""
    return lambda number: Answered(Counted(number, 1, only), reply, acts=True, pause=pause)


def operation(status: str, times: int) -> Callable[[int], Fault]:
    def otherwise(asked: Asked, reply: Reply) -> Reply:
        return reply.with_body(re.sub(rb'"status": ?"\w+"', b'"status": "%s"' % status.encode(), reply.body))

    return lambda number: Told(Counted(number, times, OPERATION), otherwise)


def skewed(minutes: int) -> Callable[[int], Fault]:
    """The API's clock is so far ahead of ours; what it says of times that we set stays as we set it."""

    def moved(found: re.Match[bytes]) -> bytes:
        if found[1] == b"expires_at":
            return found[0]
        moment = datetime.fromisoformat(found[2].decode()) + timedelta(minutes=minutes)
        return b'"%s": "%s"' % (found[1], f"{moment:%Y-%m-%dT%H:%M:%SZ}".encode())

    always = Counted(1, NEVER_AGAIN, ALL)
    return lambda number: Told(always, lambda asked, reply: reply.with_body(MOMENT.sub(moved, reply.body)))


def parent(fact: str) -> Callable[[int], Fault]:
    """The default branch is told with this fact."""

    def otherwise(asked: Asked, reply: Reply) -> Reply:
        text = re.sub(r'("default": ?true,)', rf"\1 {fact},", re.sub(r'"protected": ?\w+,', "", reply.body.decode()))
        return reply.with_body(re.sub(r'("default": ?false,)', r'\1 "protected": false,', text).encode())

    return lambda number: Told(Counted(1, NEVER_AGAIN, re.compile(r"GET .*/branches")), otherwise)


def several_roles(number: int) -> Fault:
    """A second role and a second database on every branch: then no connection strings come with a new one."""

    def otherwise(asked: Asked, reply: Reply) -> Reply:
        told = json.loads(reply.body)
        told.pop("connection_uris", None)
        for kind in ("roles", "databases"):
            told[kind] = [*told.get(kind, ()), *({**each, "name": "another"} for each in told.get(kind, ())[:1])]
        return reply.with_body(json.dumps({name: value for name, value in told.items() if value != []}).encode())

    return Told(Counted(1, NEVER_AGAIN, re.compile(r"POST .*/branches$|GET .*/(roles|databases)$")), otherwise)


def idle(cables: Cables) -> None:
    cables.refuse = 3


def cut(text: bytes, times: int) -> Callable[[Cables], None]:
    def set_up(cables: Cables) -> None:
        cables.cut_at, cables.cuts = text, times

    return set_up


ANY = frozenset({FINE, NO_TEST, LEFT})
KNOBS: tuple[Knob, ...] = (
    Knob(id="423", about="locked by other operations, three calls long", make=repeated(LOCKED, OFTEN)),
    Knob(id="429", about="too many requests, twice, without a word when", make=repeated(MANY, 2)),
    Knob(
        id="429-after",
        about="too many requests, with Retry-After",
        make=repeated(replace(MANY, headers=MANY.headers | {"Retry-After": "1"}), 1),
    ),
    Knob(id="500", about="an internal error, once", make=repeated(said(500, "internal error"), 1)),
    Knob(id="500-after", about="an internal error once it has acted", make=acted(page(500))),
    Knob(id="502", about="a page of a proxy, twice", make=repeated(page(502), 2)),
    Knob(id="503", about="unavailable, three calls long", make=repeated(page(503), OFTEN)),
    Knob(id="524-after", about="a proxy's page, once it has acted", make=acted(page(524))),
    Knob(id="drop", about="the connection breaks before it has acted", make=repeated(DROPPED, 1)),
    Knob(id="drop-after", about="the connection breaks once it has acted", make=acted(DROPPED)),
    Knob(id="key-once", about="the key is refused once", make=repeated(KEY, 1), codes=ANY, why="NEON_API_KEY"),
    Knob(
        id="key-expired",
        about="the key is refused from then on",
        make=repeated(KEY, NEVER_AGAIN),
        codes=ANY,
        why="NEON_API_KEY",
    ),
    Knob(id="down", about="nobody answers from then on", make=repeated(DROPPED, NEVER_AGAIN), codes=ANY, why="answer"),
    Knob(
        id="slow-create",
        about="a create that acts, and answers when the run's time is up",
        calls=CREATE,
        make=acted(DROPPED, CREATE, pause=TIMEOUT + 1),
        codes=frozenset({NO_TEST}),
        arguments=("--timeout", f"{TIMEOUT:g}s"),
        why="",
    ),
    Knob(id="delete-empty", about="200 without a body", calls=DELETE, make=acted(Reply(200), DELETE)),
    Knob(id="delete-204", about="204", calls=DELETE, make=acted(Reply(204), DELETE)),
    Knob(
        id="limit",
        about="no free branch",
        calls=CREATE,
        make=repeated(FULL, NEVER_AGAIN, CREATE),
        codes=frozenset({FINE, NO_TEST}),
        why="limit",
    ),
    Knob(
        id="operation-slow",
        about="operations that run for ten looks more",
        make=operation("running", 10),
        calls=OPERATION,
    ),
    Knob(
        id="operation-fails",
        about="an operation that fails",
        make=operation("failed", NEVER_AGAIN),
        calls=OPERATION,
        codes=ANY,
        why="ended as failed",
    ),
    Knob(
        id="no-passwords",
        about="the project stores no passwords",
        calls=PASSWORD,
        make=repeated(NO_PASSWORD, NEVER_AGAIN, PASSWORD),
        codes=frozenset({NO_TEST}),
        why="password",
    ),
    Knob(id="small-pages", about="lists in pages of two", calls=None, make=lambda n: Pages()),
    Knob(
        id="several-roles", about="several roles and databases, no connection strings", calls=None, make=several_roles
    ),
    Knob(id="clock-ahead", about="the API's clock is ten minutes ahead", calls=None, make=skewed(10)),
    Knob(id="clock-behind", about="the API's clock is ten minutes behind", calls=None, make=skewed(-10)),
    Knob(id="parent-protected", about="a protected parent", calls=None, make=parent('"protected": true')),
    Knob(
        id="parent-expires",
        about="a parent that expires",
        calls=None,
        codes=frozenset({USAGE}),
        why="expires",
        make=parent('"protected": false, "expires_at": "2030-01-01T00:00:00Z"'),
    ),
    Knob(id="idle", about="computes that refuse the first three connections", calls=None, cables=idle),
    Knob(
        id="cut-upgrade",
        about="the connection is cut in the middle of a statement of the migration",
        calls=None,
        cables=cut(b"pg_sleep", 1),
        codes=frozenset({NO_TEST}),
        why="connection",
    ),
    Knob(
        id="cut-snapshot",
        about="the connection is cut while the schema is read",
        calls=None,
        cables=cut(b"pg_get_constraintdef", 1),
        codes=frozenset({NO_TEST}),
        why="connection",
    ),
)
