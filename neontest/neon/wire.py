"""One request to the Neon API, and its answer: never more than one, and never without a timeout."""

from __future__ import annotations

import ipaddress
import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec

from neontest import __version__
from neontest.bounded import bind
from neontest.errors import Unreachable, UsageError
from neontest.neon.answers import excerpt, refusal, retry_after, unexpected
from neontest.neon.models import decode, encode
from neontest.neon.retry import Effect, Setback
from neontest.stop import Deadline

T = TypeVar("T")

CONNECT_SECONDS: Final = 10.0
READ_SECONDS: Final = 30.0
LARGEST_ANSWER: Final = 64 * 1024 * 1024
# The request was not sent when one of these is raised.
_NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A 2xx answer."""

    call: str
    request_id: str
    status: int
    content_type: str
    body: bytes

    def read(self, kind: type[T]) -> T:
        """The body as `kind`; Setback where it is something else."""
        if "json" not in self.content_type:
            raise self.unexpected(f"not JSON but {self.content_type or 'untyped'}: {excerpt(self.body)!r}")
        try:
            return decode(self.body, kind)
        except msgspec.DecodeError as error:
            # msgspec names the place and the types, never a value.
            raise self.unexpected(f"unreadable: {error}") from None

    def unexpected(self, what: str) -> Setback:
        """The setback of a call that may have been carried out, but whose answer cannot be believed."""
        return unexpected(self.call, self.status, what, self.request_id)


class Wire:
    """Sends requests with the key and reads the answers; safe to use from several threads."""

    def __init__(self, api_key: str, host: str) -> None:
        self.host = checked_host(host)
        self._api_key = _checked_key(api_key)
        self._key = re.compile(re.escape(self._api_key.encode()), re.IGNORECASE)
        local = _is_loopback(self.host)
        self.trouble = "look at what the server there says" if local else "see https://neonstatus.com"
        """What to do when the API is at fault."""
        self._client = httpx.Client(
            headers={
                "Authorization": f"Bearer {self._api_key}",
                "Accept": "application/json",
                "User-Agent": f"neontest/{__version__}",
            },
            follow_redirects=False,
            # A proxy of the environment cannot reach this machine's own loopback.
            trust_env=not local,
            # Loading the certificates takes 50 ms, for nothing where there is no TLS (and redirects are not followed).
            verify=self.host.startswith("https:"),
        )
        self._bound = bind(self._client)

    def __repr__(self) -> str:
        return f"Wire({self.host!r})"

    def again(self) -> Wire:
        """The same, with connections of its own."""
        return Wire(self._api_key, self.host)

    def close(self) -> None:
        self._client.close()

    def send(
        self,
        method: str,
        path: str,
        *,
        deadline: Deadline,
        params: Mapping[str, str] | None = None,
        body: object = None,
    ) -> Answer:
        """Make the request once; Setback says why there is no answer to use."""
        request_id = str(uuid.uuid4())
        call = f"{method} {path}"
        left = max(0.001, deadline.left())
        read = min(READ_SECONDS, left)
        headers = {"X-Request-ID": request_id}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            with (
                self._bound.by(deadline),
                self._client.stream(
                    method,
                    self.host + path,
                    params=params,
                    content=None if body is None else encode(body),
                    headers=headers,
                    timeout=httpx.Timeout(read, connect=min(CONNECT_SECONDS, left)),
                ) as response,
            ):
                content = self._redacted(self._drain(response, deadline, call, request_id))
        except httpx.TransportError as error:
            effect = Effect.NEVER_SENT if isinstance(error, _NEVER_SENT) else Effect.UNKNOWN
            raise Setback(self._unreachable(call, error, read, request_id), effect) from error
        except httpx.HTTPError as error:  # a body that cannot be decompressed
            raise unexpected(call, 200, f"unreadable: {type(error).__name__}", request_id) from error
        content_type = excerpt(self._redacted(response.headers.get("content-type", "").encode()))
        content_type = content_type.partition(";")[0].strip().lower()
        status = response.status_code
        if not 200 <= status < 300:
            wait = retry_after(response.headers.get("retry-after"), datetime.now(UTC))
            raise refusal(call, status, content_type, content, wait, request_id, self.trouble)
        return Answer(call=call, request_id=request_id, status=status, content_type=content_type, body=content)

    def _drain(self, response: httpx.Response, deadline: Deadline, call: str, request_id: str) -> bytes:
        """The whole body; httpx bounds each read, this bounds their sum."""
        chunks: list[bytes] = []
        size = 0
        for chunk in response.iter_bytes():
            chunks.append(chunk)
            size += len(chunk)
            if size > LARGEST_ANSWER:
                raise unexpected(call, response.status_code, f"over {LARGEST_ANSWER} bytes", request_id)
            if deadline.left() <= 0:
                raise httpx.ReadTimeout("the answer did not end in time")
        return b"".join(chunks)

    def _unreachable(self, call: str, error: httpx.TransportError, read: float, request_id: str) -> Unreachable:
        where = urlsplit(self.host).netloc
        if isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout):
            why = "no connection in time"
        elif isinstance(error, httpx.TimeoutException):
            why = f"no answer within {read:.3g} s"
        else:
            why = excerpt(self._redacted(str(error).encode())) or type(error).__name__
        return Unreachable(
            f"{call}: {where} gave no answer: {why} (request {request_id})",
            hint="check the network and the API host (NEON_API_HOST)",
            request_id=request_id,
        )

    def _redacted(self, content: bytes) -> bytes:
        """What the other side says, in case it says the key, in whatever case."""
        return self._key.sub(b"***", content)


def checked_host(host: str) -> str:
    """The API's address without a slash at its end; UsageError where it is none."""
    try:
        parts = urlsplit(str(httpx.URL(host)))
        port_is_right = parts.port is None or parts.port > 0
    except (ValueError, httpx.InvalidURL):
        parts, port_is_right = urlsplit(""), False
    plain = host.isascii() and host.isprintable() and " " not in host
    # A name with an empty or overlong part makes the resolver raise something that is no network error.
    plain = plain and all(0 < len(part) < 64 for part in (parts.hostname or "").rstrip(".").split("."))
    if not plain or not port_is_right or parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(
            "the Neon API host is not an http(s) address",
            hint="NEON_API_HOST is such as https://console.neon.tech/api/v2, which it also is when it is not set",
        )
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise UsageError(
            "the Neon API host must not hold a user, a query or a fragment", hint="keys go into NEON_API_KEY"
        )
    if parts.scheme == "http" and (parts.hostname == "neon.tech" or parts.hostname.endswith(".neon.tech")):
        raise UsageError("the Neon API is not spoken to without TLS: the key would be readable", hint="use https://")
    return host.rstrip("/")


def _checked_key(api_key: str) -> str:
    if not api_key:
        raise UsageError("there is no Neon API key", hint="set NEON_API_KEY")
    if not api_key.isascii() or not api_key.isprintable() or " " in api_key:
        raise UsageError(
            "the Neon API key holds a character that no key holds, such as a space or a line break",
            hint="set NEON_API_KEY again, without quotes and without a line break at its end",
        )
    return api_key


def _is_loopback(host: str) -> bool:
    name = urlsplit(host).hostname or ""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
