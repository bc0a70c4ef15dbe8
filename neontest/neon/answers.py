"""What an answer of the Neon API means: each refusal as one error of our tree, with what to do about it.

The API leaves `code` empty for most refusals, so three of them can be told only by their message; that is done here
and nowhere else.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import msgspec

from neontest.errors import (
    AlreadyExists,
    Forbidden,
    HasChildren,
    LimitExceeded,
    Locked,
    NeonError,
    NoFreeBranch,
    NotFound,
    PasswordNotStored,
    RateLimited,
    Refused,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
    one_line,
)
from neontest.neon.models import Problem, decode
from neontest.neon.retry import Effect, Setback

_EXCERPT: Final = 160
_URI = re.compile(r"(?i)\bpostgres(?:ql)?(?:\\?/|:)[^\s\"'<>]*")
_SECRET = re.compile(r"(?i)(\"?\b(?:password|api_key|authorization|token)\b\"?\s*[:=]\s*)(\"[^\"]*\"?|\S+(?: \S+)?)")
_TAG = re.compile(r"(?s)<(script|style)\b.*?(</\1>|$)|<[^>]*>")

_NOT_READY = "not ready yet"
_CHILDREN = re.compile(r"\bhas children\b")
_LIMIT = re.compile(r"\blimit\w* (exceeded|reached)\b|\bexceeded the limit\b")
_BRANCHES = "BRANCHES_LIMIT_EXCEEDED"
_ROOTS = "ROOT_BRANCHES_LIMIT_EXCEEDED"
_FREED = re.compile(r"^branches limit\b|\bactive endpoints\b")
"""Limits of what is there at once."""


def excerpt(body: bytes) -> str:
    """The start of a body on one line, markup and secrets taken out."""
    text = _TAG.sub(" ", body[:4000].decode("utf-8", "replace"))
    text = _SECRET.sub(r"\1…", _URI.sub("postgresql://…", text))
    text = one_line(text)
    return text if len(text) <= _EXCERPT else text[: _EXCERPT - 1] + "…"


def retry_after(value: str | None, now: datetime | None = None) -> float:
    """Seconds that a Retry-After header asks for: a number, or a date; 0 where it says nothing sensible."""
    if not value:
        return 0.0
    try:
        return min(max(0.0, float(value)), 86400.0)
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())


def unexpected(call: str, status: int, what: str, request_id: str) -> Setback:
    """An answer that is not what the contract says; what was asked may have been done."""
    error = UnexpectedAnswer(
        f"{call}: {status}, and {what} (request {request_id})",
        hint="check the API host (NEON_API_HOST), and for a proxy in between",
        status=status,
        request_id=request_id,
    )
    # A redirect or a page of the wrong server does not change when it is asked for again.
    return Setback(error, Effect.UNKNOWN if 200 <= status < 300 else Effect.REFUSED)


def refusal(
    call: str, status: int, content_type: str, body: bytes, wait: float, request_id: str, trouble: str
) -> Setback:
    """The error that an answer outside 2xx stands for; `trouble` is what to do when the API is at fault."""
    if 300 <= status < 400:
        return unexpected(call, status, "a redirect is not followed", request_id)
    problem = _problem(content_type, body)
    if problem is None and 400 <= status < 500 and status not in (*_BUSY, 408):
        return unexpected(call, status, f"not JSON: {excerpt(body)!r}", request_id)
    said = problem.message if problem else excerpt(body)
    kind, hint, effect = _meaning(status, problem or Problem(), trouble)
    error = kind(
        f"{call}: {status} {said or 'without a word'} (request {request_id})",
        hint=hint,
        status=status,
        request_id=request_id,
    )
    return Setback(error, effect, after=wait)


def _problem(content_type: str, body: bytes) -> Problem | None:
    if "json" not in content_type:
        return None
    try:
        problem = decode(body, Problem)
    except msgspec.DecodeError:
        return None
    return msgspec.structs.replace(
        problem, message=excerpt(problem.message.encode()), code=excerpt(problem.code.encode())
    )


_BUSY: Final[dict[int, tuple[type[NeonError], str | None]]] = {
    423: (Locked, "another operation on the project is still running; it ends by itself"),
    429: (RateLimited, "the account's limit of requests is used up; wait a minute, or run fewer jobs at once"),
    503: (Unavailable, None),
}
_REFUSED: Final[dict[int, tuple[type[NeonError], str | None]]] = {
    401: (Unauthorized, "check NEON_API_KEY: it is missing, mistyped, expired, or revoked"),
    403: (Forbidden, "the API key may not do this: use one of the project's organisation, with write access"),
    404: (NotFound, "check the project id (NEON_PROJECT_ID) and the name or id of the branch"),
    409: (AlreadyExists, None),
    412: (
        PasswordNotStored,
        "the project stores no passwords, so it hands out no connection strings: turn `store_passwords` on for it",
    ),
}


def _meaning(status: int, problem: Problem, trouble: str) -> tuple[type[NeonError], str | None, Effect]:
    if status in _BUSY:
        kind, hint = _BUSY[status]
        return kind, hint or trouble, Effect.BUSY
    if status >= 500 or status == 408:
        return Unavailable, trouble, Effect.UNKNOWN
    if problem.code.endswith("LIMIT_EXCEEDED") or (status == 422 and _LIMIT.search(problem.message)):
        hint = (
            "give back what nobody needs (`neontest sweep --dry-run` shows what neontest left, the Neon console shows "
            "the rest), or raise the plan's limit"
        )
        if problem.code == _ROOTS:
            few = "a schema-only branch is a root branch, of which a plan has few (Free 3, Launch 5, Scale 25)"
            return NoFreeBranch, f"{few}: `neontest run --wait 10m` waits for one; or {hint}", Effect.REFUSED
        if problem.code == _BRANCHES or _FREED.search(problem.message):
            return NoFreeBranch, f"`neontest run --wait 10m` waits for a free one; or {hint}", Effect.REFUSED
        return LimitExceeded, hint, Effect.REFUSED
    if status == 422 and _NOT_READY in problem.message:
        return Locked, "the branch is still being made; it ends by itself", Effect.BUSY
    if status == 422 and _CHILDREN.search(problem.message):
        return HasChildren, "delete the branches that were made from it first", Effect.REFUSED
    if status in _REFUSED:
        refused, said = _REFUSED[status]
        return refused, said, Effect.REFUSED
    return Refused, None, Effect.REFUSED
