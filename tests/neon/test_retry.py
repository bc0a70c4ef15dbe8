"""What is asked again, when, and what is never done twice."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import pytest

from neontest.errors import (
    AlreadyExists,
    DeadlineExceeded,
    Forbidden,
    HasChildren,
    LimitExceeded,
    Locked,
    NeonError,
    NoFreeBranch,
    NotFound,
    OperationFailed,
    PasswordNotStored,
    RateLimited,
    Refused,
    Stopped,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
)
from neontest.neon.answers import excerpt, retry_after
from neontest.neon.client import Neon
from neontest.stop import Deadline, Stop

EXPIRY = datetime(2026, 11, 22, 13, 30, tzinfo=UTC)
MARK = {"neontest": "1", "lease": "a1b2"}
BRANCHES = "/branches$"


def create(neon: Neon, project: str, time: Any, seconds: float = 60.0, **more: Any) -> Any:
    settings: dict[str, Any] = {"name": "neontest/a", "expires_at": EXPIRY, "annotation": MARK}
    return neon.create_branch(project, **(settings | more), deadline=time.deadline(seconds))


@pytest.mark.parametrize("status", [423, 429, 503])
def test_what_was_not_done_is_asked_again_whatever_the_method(
    server: Any, neon: Neon, project: str, time: Any, status: int
) -> None:
    for method in ("GET", "POST", "PATCH", "DELETE"):
        server.fault(method, "", status=status, times=3, message="later")
    made = create(neon, project, time)
    neon.update_branch(project, made.branch.id, name="b")
    assert neon.delete_branch(project, made.branch.id, time.deadline())
    neon.auth()
    assert len(server.sent("POST")) == 4
    assert len(server.branches) == 1


def test_a_branch_that_is_not_ready_yet_is_waited_for(server: Any, neon: Neon, project: str, time: Any) -> None:
    made = create(neon, project, time)
    server.fault("DELETE", "", status=422, times=2, message="branch not ready yet")
    assert neon.delete_branch(project, made.branch.id, time.deadline()) is not None


def test_pauses_double_and_are_never_long(server: Any, neon: Neon, time: Any) -> None:
    server.fault("GET", "/auth", status=503, times=9)
    neon.auth()
    assert time.slept == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0]


def test_the_jitter_is_full(server: Any, connect: Callable[..., Neon], time: Any) -> None:
    dice = iter([0.0, 0.5, 0.25])
    server.fault("GET", "/auth", status=503, times=3)
    connect(jitter=lambda: next(dice)).auth()
    assert time.slept == [0.25, 0.25]


def test_retry_after_is_honoured(server: Any, neon: Neon, time: Any) -> None:
    server.fault("GET", "/auth", status=429, headers={"Retry-After": "17"})
    neon.auth()
    assert time.slept == [17.0]


def test_retry_after_is_a_number_or_a_date() -> None:
    now = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    assert retry_after("2.5") == 2.5
    assert retry_after("Sun, 22 Nov 2026 12:00:30 GMT", now) == 30.0
    assert retry_after("Sun, 22 Nov 2026 11:00:30 GMT", now) == 0.0
    assert retry_after("Sun, 22 Nov 2026 12:00:30", now) == 30.0
    for nothing in (None, "", "soon", "-3", "nan"):
        assert retry_after(nothing, now) == 0.0
    assert retry_after("inf") == 86400.0


@pytest.mark.parametrize(("status", "kind"), [(423, Locked), (429, RateLimited), (503, Unavailable)])
def test_a_wait_that_would_pass_the_deadline_is_not_begun(
    server: Any, neon: Neon, project: str, time: Any, status: int, kind: type[NeonError]
) -> None:
    server.fault("POST", BRANCHES, status=status, times=999, headers={"Retry-After": "4"})
    with pytest.raises(kind) as caught:
        create(neon, project, time, seconds=10)
    assert time.now == 1008
    assert "after 3 attempts" in caught.value.__notes__


def test_a_short_budget_is_used_to_its_end(server: Any, neon: Neon, project: str, time: Any) -> None:
    branch = server.branch("a")
    server.fault("DELETE", "", status=423, times=999)
    with pytest.raises(Locked):
        neon.delete_branch(project, branch["id"], time.deadline(7))
    assert 1006.5 < time.now < 1007


def test_nothing_is_sent_once_the_time_is_up(server: Any, neon: Neon, project: str, time: Any) -> None:
    deadline = time.deadline(5, "the run")
    time.now += 5
    with pytest.raises(DeadlineExceeded, match="the run"):
        neon.delete_branch(project, "br-a", deadline)
    assert not server.requests


def test_a_stop_ends_a_wait_and_nothing_more_is_sent(server: Any, connect: Callable[..., Neon]) -> None:
    stop = Stop()
    server.fault("GET", "/auth", status=503, times=99, call=lambda: request(stop))
    neon = connect(stop=stop, sleep=None, clock=monotonic, jitter=lambda: 1.0)
    with pytest.raises(Stopped):
        neon.auth()
    with pytest.raises(Stopped):
        neon.auth()
    assert len(server.requests) == 1


def request(stop: Stop) -> None:
    with stop.shield():
        stop.request(signal.SIGTERM)


def test_a_signal_ends_a_request_that_is_under_way(server: Any, connect: Callable[..., Neon]) -> None:
    stop = Stop()
    never = threading.Event()
    server.fault("GET", "/auth", until=never, call=lambda: os.kill(os.getpid(), signal.SIGUSR1))
    before = signal.signal(signal.SIGUSR1, lambda signum, frame: stop.request(signum))
    try:
        with pytest.raises(Stopped):
            connect(stop=stop).auth()
    finally:
        signal.signal(signal.SIGUSR1, before)


# -- a lost create


LOSSES: dict[str, dict[str, Any]] = {
    "a 500": {"status": 500, "message": "internal error"},
    "a proxy's page": {"status": 524, "body": b"<html>A timeout occurred</html>"},
    "a dropped connection": {"drop": True},
    "half an answer": {"truncate": True},
    "no body": {"body": b"", "content_type": "application/json"},
    "a body that cannot be unpacked": {
        "body": b"not gzip",
        "content_type": "application/json",
        "headers": {"Content-Encoding": "gzip"},
    },
    "a page": {"body": b"<html>welcome</html>"},
}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_lost_create_is_found_by_its_name(server: Any, neon: Neon, project: str, time: Any, loss: str) -> None:
    server.fault("POST", BRANCHES, committed=True, **LOSSES[loss])
    made = create(neon, project, time)
    assert made.adopted
    assert made.branch.annotation == MARK
    assert len(server.sent("POST")) == 1
    assert len(server.branches) == 2
    assert made.endpoints
    neon.wait_for(project, made.operations, time.deadline())
    assert {each["status"] for each in server.operations.values()} == {"finished"}


@pytest.mark.parametrize("loss", ["a 500", "a proxy's page", "a dropped connection"])
def test_a_create_that_never_arrived_is_repeated(server: Any, neon: Neon, project: str, time: Any, loss: str) -> None:
    server.fault("POST", BRANCHES, **LOSSES[loss])
    made = create(neon, project, time)
    assert not made.adopted
    assert len(server.sent("POST")) == 2
    assert len(server.branches) == 2


def test_a_create_without_an_answer_in_time_is_found_by_its_name(
    server: Any, connect: Callable[..., Neon], project: str, time: Any
) -> None:
    server.fault("POST", BRANCHES, until=threading.Event())
    neon = connect(jitter=lambda: 0.0)
    assert create(neon, project, time, seconds=0.3).adopted
    assert len(server.branches) == 2


def test_a_create_that_lands_late_is_found_by_the_conflict(server: Any, neon: Neon, project: str, time: Any) -> None:
    # Lost; not there when it is looked for; there when it is repeated.
    server.fault("POST", BRANCHES, status=500)
    server.fault("POST", BRANCHES, call=lambda: server.branch("neontest/a", annotation=MARK))
    made = create(neon, project, time)
    assert made.adopted
    assert len(server.branches) == 2


def test_a_name_that_is_taken_by_another_run_is_never_used(server: Any, neon: Neon, project: str, time: Any) -> None:
    for other in ({}, {"neontest": "1"}, MARK | {"lease": "other"}, MARK | {"more": "x"}):
        taken = server.branch("neontest/a", annotation=other)
        with pytest.raises(AlreadyExists):
            create(neon, project, time)
        assert taken["id"] in server.branches
        del server.branches[taken["id"]]


def test_a_lost_create_never_takes_a_name_of_another_run(server: Any, neon: Neon, project: str, time: Any) -> None:
    server.branch("neontest/a", annotation=MARK | {"lease": "other"})
    server.fault("POST", BRANCHES, drop=True)
    with pytest.raises(AlreadyExists):
        create(neon, project, time)


def test_a_lost_create_is_found_even_when_repeating_it_is_refused(
    server: Any, neon: Neon, project: str, time: Any
) -> None:
    # It lands between the look for it and the repeat, and takes the last place.
    server.fault("POST", BRANCHES, status=500)
    server.fault(
        "POST",
        BRANCHES,
        status=422,
        message="branches limit exceeded",
        call=lambda: server.branch("neontest/a", annotation=MARK),
    )
    assert create(neon, project, time).adopted


# -- what is safe to repeat, and what is not


@pytest.mark.parametrize("status", [408, 500, 502, 504, 520, 524])
def test_reads_deletes_and_updates_are_repeated_after_any_failure_of_the_server(
    server: Any, neon: Neon, project: str, time: Any, status: int
) -> None:
    branch = server.branch("a")
    for method in ("GET", "PATCH", "DELETE"):
        server.fault(method, "", status=status, body=b"<h1>bad gateway</h1>", times=2)
    assert neon.branch(project, branch["id"])
    assert neon.update_branch(project, branch["id"], name="b").name == "b"
    assert neon.delete_branch(project, branch["id"], time.deadline()) is not None


def test_a_lost_delete_is_repeated_and_finds_it_gone(server: Any, neon: Neon, project: str, time: Any) -> None:
    branch = server.branch("a")
    server.fault("DELETE", "", drop=True, committed=True)
    assert neon.delete_branch(project, branch["id"], time.deadline()) is None
    assert branch["id"] not in server.branches


def test_a_server_that_fails_on_is_given_up_soon(server: Any, neon: Neon, time: Any) -> None:
    server.fault("GET", "/auth", status=502, times=99, body=b"<html><style>p{}</style><p>Bad  gateway</p></html>")
    with pytest.raises(Unavailable, match="502 Bad gateway"):
        neon.auth()
    assert time.now < 1030


def test_a_refused_connection_is_named_and_given_up_soon(connect: Callable[..., Neon], time: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        port = taken.getsockname()[1]
        with pytest.raises(Unreachable, match=f"127.0.0.1:{port}.*refused"):
            connect(host=f"http://127.0.0.1:{port}/api/v2").auth()
    assert time.now < 1030


def test_a_connection_that_drops_before_the_answer_is_unreachable(server: Any, neon: Neon) -> None:
    server.fault("GET", "/auth", drop=True, times=99)
    with pytest.raises(Unreachable):
        neon.auth()


def test_a_slow_server_is_cut_off_at_the_deadline(server: Any, connect: Callable[..., Neon], time: Any) -> None:
    server.fault("GET", "/auth", until=threading.Event(), times=99)
    with pytest.raises(Unreachable, match=r"no answer within 0\.2 s"):
        connect().auth(deadline=time.deadline(0.2))


@pytest.mark.parametrize("what", ["drip", "drip_headers"])
def test_an_answer_that_never_ends_is_cut_off_at_the_deadline(
    server: Any, connect: Callable[..., Neon], what: str
) -> None:
    # Each piece comes in time; only their sum does not, which takes 20 s.
    server.fault("GET", "/auth", times=99, **{what: True})
    start = monotonic()
    with pytest.raises(Unreachable, match="no answer within"):
        connect(sleep=None, clock=monotonic).auth(deadline=Deadline(0.4, what="the test"))
    assert monotonic() - start < 10


def test_after_an_answer_that_was_cut_off_the_next_one_is_read_as_ever(
    server: Any, connect: Callable[..., Neon]
) -> None:
    server.fault("GET", "/auth", drip_headers=True)
    neon = connect(sleep=None, clock=monotonic)
    with pytest.raises(Unreachable):
        neon.auth(deadline=Deadline(0.2, what="the test"))
    assert neon.auth().account_id


def test_all_operations_of_a_found_branch_are_awaited_in_a_busy_project(
    server: Any, neon: Neon, project: str, time: Any
) -> None:
    def busy() -> None:
        for _ in range(7):
            server._begin("start_compute", server.main["id"])

    server.page = 3
    server.fault("POST", BRANCHES, committed=True, drop=True)
    server.fault("GET", "/endpoints$", call=busy)
    made = create(neon, project, time)
    assert sorted(each.action for each in made.operations) == ["create_branch", "start_compute"]


def test_operations_from_before_a_branch_was_made_are_not_asked_for(
    server: Any, neon: Neon, project: str, time: Any
) -> None:
    server.page = 5
    for _ in range(50):
        server.operations[server._begin("start_compute", server.main["id"])["id"]]["created_at"] = (
            "2026-01-01T00:00:00Z"
        )
    server.fault("POST", BRANCHES, committed=True, drop=True)
    assert len(create(neon, project, time).operations) == 2
    assert len(server.sent("GET", "/operations$")) == 2


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("body", [b'{"a":' * 100_000, b'{"account_id": "\xff", "message": "\xff"}'])
def test_json_that_cannot_be_read_is_an_error_of_ours(server: Any, neon: Neon, status: int, body: bytes) -> None:
    server.fault("GET", "/auth", status=status, body=body, content_type="application/json", times=99)
    with pytest.raises(UnexpectedAnswer if status == 200 else Unavailable):
        neon.auth()


def test_neons_status_page_is_named_for_neon_only(server: Any, neon: Neon, project: str, time: Any) -> None:
    server.fault("GET", "/auth", status=503, times=99)
    with pytest.raises(Unavailable) as unavailable:
        neon.auth(deadline=time.deadline(1))
    server.statuses = ["running"]
    made = create(neon, project, time)
    with pytest.raises(DeadlineExceeded) as late:
        neon.wait_for(project, made.operations, time.deadline(1))
    for error in (unavailable.value, late.value):
        assert error.hint
        assert "neonstatus" not in error.hint
    with Neon("napi_x") as real:
        assert "neonstatus.com" in real._wire.trouble


def test_what_the_api_says_is_one_printable_line(server: Any, neon: Neon, project: str, time: Any) -> None:
    odd = "\x1b[31m\r\n::error::gone\x07\u202e##[error]"
    server.fault("GET", "/auth", status=400, message=odd)
    with pytest.raises(Refused) as refused:
        neon.auth()
    server.statuses = ["failed"]
    made = create(neon, project, time)
    for operation in server.operations.values():
        operation["error"] = odd
    with pytest.raises(OperationFailed, match="gone") as failed:
        neon.wait_for(project, made.operations, time.deadline())
    for error in (refused.value, failed.value):
        assert error.message.isprintable()
        assert "##[" not in error.message


# -- refusals


@pytest.mark.parametrize(
    ("status", "code", "message", "kind"),
    [
        (400, "", "bad parameter", Refused),
        (401, "", "supplied credentials do not pass authentication", Unauthorized),
        (403, "", "not allowed", Forbidden),
        (404, "", "project not found", NotFound),
        (412, "", "storing passwords disabled", PasswordNotStored),
        (422, "BRANCHES_LIMIT_EXCEEDED", "branches limit exceeded", NoFreeBranch),
        (422, "", "branches limit exceeded", NoFreeBranch),
        (422, "", "You have exceeded the limit of concurrently active endpoints", NoFreeBranch),
        (422, "", "root branches limit exceeded", LimitExceeded),
        (409, "ENDPOINTS_LIMIT_EXCEEDED", "read_write endpoint already exists", LimitExceeded),
        (422, "", "cannot delete branch that has children: br-x", HasChildren),
        (422, "", "cannot delete the root branch", Refused),
        (418, "", "teapot", Refused),
    ],
)
def test_each_refusal_is_one_error_and_is_not_repeated(
    server: Any, neon: Neon, project: str, time: Any, status: int, code: str, message: str, kind: type[NeonError]
) -> None:
    server.fault("POST", BRANCHES, status=status, code=code, message=message, times=9)
    with pytest.raises(NeonError) as caught:
        create(neon, project, time)
    assert type(caught.value) is kind
    assert message in caught.value.message
    assert len(server.sent("POST")) == 1
    if kind not in (Refused, AlreadyExists):
        assert caught.value.hint


def test_a_wrong_key_is_unauthorized(connect: Callable[..., Neon]) -> None:
    with pytest.raises(Unauthorized) as caught:
        connect("napi_wrong").auth()
    assert "NEON_API_KEY" in str(caught.value.hint)
    assert "napi_wrong" not in str(caught.value)


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"message": 7}', b"", b"\xff\xfe"])
def test_a_refusal_that_cannot_be_read_is_said_with_its_status(server: Any, neon: Neon, body: bytes) -> None:
    server.fault("GET", "/auth", status=400, body=body, content_type="application/json")
    with pytest.raises(UnexpectedAnswer, match="GET /auth: 400"):
        neon.auth()
    server.fault("GET", "/auth", status=503, body=body, content_type="application/json")
    assert neon.auth()


def test_a_redirect_is_not_followed(server: Any, neon: Neon) -> None:
    server.fault("GET", "/auth", status=302, body=b"", headers={"Location": "https://elsewhere.test/"})
    with pytest.raises(UnexpectedAnswer, match="redirect"):
        neon.auth()
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("body", "kind"),
    [(b"<html>hello</html>", "text/html"), (b"{", "application/json"), (b"[]", "application/json"), (b"{}", "")],
)
def test_an_answer_that_is_something_else_is_said_with_its_status(
    server: Any, neon: Neon, body: bytes, kind: str
) -> None:
    server.fault("GET", "/auth", body=body, content_type=kind, times=99)
    with pytest.raises(UnexpectedAnswer, match="GET /auth: 200"):
        neon.auth()


def test_no_secret_of_a_broken_answer_is_told(server: Any, neon: Neon, project: str, time: Any) -> None:
    secret = b'{"connection_uris": [{"connection_uri": "postgresql://u:hush@h/d"}], "password": "hush", "x": "hush'
    server.fault("POST", BRANCHES, body=secret, content_type="text/plain", committed=True, times=99)
    server.fault("GET", BRANCHES, status=404, message='see postgresql://u:hush@h/d "password": "hush"', times=99)
    with pytest.raises(NeonError) as caught:
        create(neon, project, time)
    error: BaseException | None = caught.value
    while error is not None:
        assert "hush@" not in str(error)
        assert '"hush"' not in str(error)
        error = error.__cause__ or error.__context__


def test_an_excerpt_is_one_short_line() -> None:
    text = excerpt(b"<html><script>var x = 1;</script>\n\n<p>no \x1b[31mway</p>" + b"x" * 900)
    assert "\n" not in text
    assert "\x1b" not in text
    assert "script" not in text
    assert "var x" not in text
    assert len(text) <= 160


def test_an_expiry_with_another_zone_is_the_same_moment(server: Any, neon: Neon, project: str, time: Any) -> None:
    made = create(neon, project, time, expires_at=EXPIRY + timedelta(milliseconds=500))
    assert made.branch.expires_at == EXPIRY
