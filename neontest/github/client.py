"""GitHub's REST API, as far as neontest needs it: typed, patient within a limit, never asked twice what it refused.

Source: https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api (2026-11).
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Iterator, Mapping
from typing import Final, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec

from neontest import __version__
from neontest.bounded import bind
from neontest.errors import GitHubDenied, GitHubError, GitHubLost
from neontest.github.patience import Patience

T = TypeVar("T")

TRIES: Final = 4
FIRST_PAUSE: Final = 0.25
SECONDARY_PAUSE: Final = 60.0
"""Seconds to wait after a secondary limit that does not say how long."""
LARGEST_ANSWER: Final = 16 * 1024 * 1024
MOST_PAGES: Final = 1000
# The request was not sent when one of these is raised.
NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
# It never will be.
HOPELESS: Final = (httpx.UnsupportedProtocol, httpx.LocalProtocolError)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    status: int
    headers: httpx.Headers
    body: bytes

    def read(self, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(self.body, type=kind)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise GitHubLost(f"GitHub's answer is not what its description says: {error}") from None


class Busy(Exception):
    """GitHub did nothing, and says when to ask again."""

    def __init__(self, error: GitHubError, after: float) -> None:
        super().__init__(error.message)
        self.error = error
        self.after = after


class GitHub:
    """One repository's API. `patience` can be exchanged at any time; it bounds all that is asked from then on."""

    def __init__(self, api_url: str, token: str, *, repository: str, patience: Patience) -> None:
        self.repository = repository
        self.patience = patience
        self._api_url = api_url.rstrip("/")
        self._token = token
        try:
            host = urlsplit(self._api_url).hostname or ""
            local = host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            local = False
        try:
            self._client = httpx.Client(
                headers={
                    "Authorization": f"Bearer {token}",
                    "Accept": "application/vnd.github+json",
                    "X-GitHub-Api-Version": "2022-11-28",
                    "User-Agent": f"neontest/{__version__}",
                },
                # A repository that moved is known by its new name to the runner; a token is not sent elsewhere.
                follow_redirects=False,
                trust_env=not local,
                verify=not self._api_url.startswith("http:"),
            )
        except (UnicodeError, ValueError):
            raise GitHubError("GITHUB_TOKEN holds a character that no token holds") from None
        self._bound = bind(self._client)

    def __repr__(self) -> str:
        return f"GitHub({self._api_url!r}, {self.repository!r})"

    def close(self) -> None:
        self._client.close()

    def get(self, path: str, kind: type[T], **query: str | int) -> T:
        return self.send("GET", path, query=query).read(kind)

    def pages(self, path: str, kind: type[T], **query: str | int) -> Iterator[T]:
        """The items of a list over all its pages, as `Link` leads from one to the next."""
        answer = self.send("GET", path, query={**query, "per_page": 100})
        for _ in range(MOST_PAGES):
            yield from answer.read(list[kind])  # type: ignore[valid-type]  # mypy takes no variable for a type
            url = following(answer.headers)
            if url is None:
                return
            # GitHub leads to /repositories/ID/…, on the same host and nowhere else: the token goes with it.
            if not url.startswith(self._api_url + "/"):
                raise GitHubError(f"the next page of {path} would be elsewhere than at {self._api_url}")
            answer = self.send("GET", url[len(self._api_url) :])
        raise GitHubError(f"{path} does not end after {MOST_PAGES} pages")

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, str] | None = None,
        twice: bool = True,
    ) -> Answer:
        """The answer, if it is a 2xx, after at most a few attempts.

        `twice`: doing it a second time does no harm. If it does, and nobody knows whether it was done, GitHubLost
        is raised at once.

        Raises:
            GitHubDenied: 4xx. GitHubLost: 5xx, or no answer. GitHubError: anything else, such as a limit of requests.
        """
        for number in range(1, TRIES + 1):
            pause, error = FIRST_PAUSE * 2 ** (number - 1), None
            try:
                return self._once(method, path, query, body)
            except Busy as busy:
                error, pause = busy.error, max(busy.after, FIRST_PAUSE)
            except GitHubLost as lost:
                error = lost
                if not twice and not isinstance(lost.__cause__, NEVER_SENT):
                    raise
            if number == TRIES or not self.patience.pause(pause):
                raise error
        raise AssertionError("unreachable")

    def _once(
        self, method: str, path: str, query: Mapping[str, str | int] | None, body: Mapping[str, str] | None
    ) -> Answer:
        if self.patience.over:
            raise GitHubError("there was no time left to ask GitHub")
        deadline = self.patience.request()
        try:
            with (
                self._bound.by(deadline),
                self._client.stream(
                    method, self._api_url + path, params=query or None, json=body, timeout=max(0.001, deadline.left())
                ) as response,
            ):
                content = b""
                for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > LARGEST_ANSWER or deadline.left() <= 0:
                        raise httpx.ReadTimeout("the answer did not end")
        except (*HOPELESS, httpx.InvalidURL, UnicodeError) as error:
            raise GitHubError(f"{self._api_url} cannot be asked: {type(error).__name__}") from error
        except httpx.HTTPError as error:
            # The exception's own text may quote a header.
            raise GitHubLost(f"{self._api_url} gave no answer: {type(error).__name__}") from error
        answer = Answer(status=response.status_code, headers=response.headers, body=content)
        if 200 <= answer.status < 300:
            return answer
        raise self._refusal(answer)

    def _refusal(self, answer: Answer) -> GitHubError | Busy:
        said = self._said(answer.body)
        told = f"GitHub answered {answer.status}" + (f": {said}" if said else "")
        if answer.status >= 500:
            return GitHubLost(told, status=answer.status)
        after = pause(answer, said)
        if after is not None:
            return Busy(GitHubError(f"{told}; it asks to wait {after:.0f} s", status=answer.status), after)
        return GitHubDenied(told, status=answer.status)

    def _said(self, body: bytes) -> str:
        """GitHub's own sentence, without the token, if it should be in it."""
        try:
            said = msgspec.json.decode(body, type=Message).message
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return ""
        return said.replace(self._token, "***")[:200]


class Message(msgspec.Struct, frozen=True):
    message: str = ""


def following(headers: httpx.Headers) -> str | None:
    """The address of the next page."""
    link = httpx.Response(200, headers=headers).links.get("next", {})
    return link.get("url")


def pause(answer: Answer, said: str) -> float | None:
    """Seconds that GitHub asks to wait before the next request; None where it is no matter of limits.

    Source: https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api (2026-11): 403 or 429;
    `retry-after`, else `x-ratelimit-reset` where `x-ratelimit-remaining` is 0, else at least a minute.
    """
    if answer.status not in (403, 429):
        return None
    after, reset = answer.headers.get("retry-after", ""), answer.headers.get("x-ratelimit-reset", "")
    if after.isascii() and after.isdigit():
        return float(after)
    if answer.headers.get("x-ratelimit-remaining") == "0" and reset.isascii() and reset.isdigit():
        return max(1.0, float(reset) - time.time())
    return SECONDARY_PAUSE if answer.status == 429 or "rate limit" in said.lower() else None
