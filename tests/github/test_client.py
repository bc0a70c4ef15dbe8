from __future__ import annotations

import time

import pytest

from neontest.errors import GitHubDenied, GitHubError, GitHubLost
from neontest.github.client import GitHub
from neontest.github.models import Comment
from neontest.github.status import set_status
from tests.github.conftest import SHA, patience
from tests.github.hub import REPOSITORY, TOKEN, Fault, Hub

COMMENTS = f"/repos/{REPOSITORY}/issues/7/comments"


def status(client: GitHub) -> None:
    set_status(client, SHA, "success", "fine", url=None)


def test_a_list_is_read_over_all_its_pages(hub: Hub, client: GitHub) -> None:
    hub.page_size = 2
    for number in range(5):
        hub.comment(7, str(number))
    assert [each.body for each in client.pages(COMMENTS, Comment)] == list("01234")
    assert [each.query.get("page", "1") for each in hub.sent("GET")] == ["1", "2", "3"]


@pytest.mark.parametrize("next_page", ["https://evil.example/x", "{url}.evil.example/x", "{url}@evil.example/x"])
def test_the_token_goes_to_no_other_host_than_the_api(hub: Hub, client: GitHub, next_page: str) -> None:
    link = f'<{next_page.format(url=hub.url)}>; rel="next"'
    hub.faults = [Fault("GET", "/comments", headers={"Link": link})]
    with pytest.raises(GitHubError, match="elsewhere"):
        list(client.pages(COMMENTS, Comment))
    assert len(hub.requests) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault("POST", "/statuses", status=502),
        Fault("POST", "/statuses", status=500, times=2),
        Fault("POST", "/statuses", drop=True),
        Fault("POST", "/statuses", drop=True, committed=True),
    ],
)
def test_what_may_be_done_twice_is_asked_again(hub: Hub, client: GitHub, fault: Fault) -> None:
    times = fault.times
    hub.faults = [fault]
    status(client)
    assert len(hub.requests) == times + 1


@pytest.mark.parametrize(
    ("code", "headers"),
    [
        (429, {"Retry-After": "1"}),
        (403, {"Retry-After": "1"}),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "{soon}"}),
    ],
)
def test_a_limit_is_waited_for_as_long_as_github_says(
    hub: Hub, client: GitHub, code: int, headers: dict[str, str]
) -> None:
    soon = str(int(time.time()) + 2)
    headers = {name: value.format(soon=soon) for name, value in headers.items()}
    hub.faults = [Fault("POST", "/statuses", status=code, headers=headers, message="secondary rate limit")]
    status(client)
    first, second = hub.requests
    assert second.at - first.at >= 0.95


@pytest.mark.parametrize(
    ("code", "headers", "message"),
    [
        (429, {"Retry-After": "3600"}, "wait"),
        (429, {}, "wait"),
        (403, {}, "You have exceeded a secondary rate limit"),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "99999999999"}, "API rate limit exceeded"),
    ],
)
def test_a_limit_longer_than_there_is_time_is_said_and_not_waited_for(
    hub: Hub, client: GitHub, code: int, headers: dict[str, str], message: str
) -> None:
    hub.faults = [Fault("POST", "/statuses", status=code, headers=headers, message=message)]
    began = time.monotonic()
    with pytest.raises(GitHubError, match="it asks to wait") as caught:
        status(client)
    assert not isinstance(caught.value, GitHubDenied)
    assert time.monotonic() - began < 1
    assert len(hub.requests) == 1


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410, 422])
def test_what_github_refuses_is_asked_once(hub: Hub, client: GitHub, code: int) -> None:
    hub.faults = [Fault("POST", "/statuses", status=code, message=f"bad {TOKEN}\n::error::x")]
    with pytest.raises(GitHubDenied) as caught:
        status(client)
    assert caught.value.status == code
    assert caught.value.message == f"GitHub answered {code}: bad *** ::error::x"
    assert len(hub.requests) == 1


def test_a_server_that_goes_on_failing_is_given_up(hub: Hub, client: GitHub) -> None:
    hub.faults = [Fault("POST", "/statuses", status=503, times=99)]
    with pytest.raises(GitHubLost, match="503"):
        status(client)
    assert len(hub.requests) == 4


def test_an_answer_that_does_not_come_ends_with_the_deadline(hub: Hub, client: GitHub) -> None:
    hub.faults = [Fault("POST", "/statuses", delay=3, times=9)]
    client.patience = patience(0.5)
    began = time.monotonic()
    with pytest.raises(GitHubLost):
        status(client)
    assert time.monotonic() - began < 1.5


def test_nothing_is_begun_after_the_order_to_hurry(hub: Hub, client: GitHub) -> None:
    client.patience.hurry.set()
    with pytest.raises(GitHubError, match="no time"):
        status(client)
    assert hub.requests == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "nonsense", "http://[::bad", "http://x\ny", "ftp://x/"])
def test_an_address_where_nobody_answers_is_one_error(url: str) -> None:
    client = GitHub(url, TOKEN, repository=REPOSITORY, patience=patience(1))
    with pytest.raises(GitHubError) as caught:
        status(client)
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("token", ["geheim\u00e4", "two\nlines", "zero\0"])
def test_a_token_that_is_none_is_one_error_that_does_not_quote_it(hub: Hub, token: str) -> None:
    with pytest.raises(GitHubError) as caught:
        status(GitHub(hub.url, token, repository=REPOSITORY, patience=patience(1)))
    assert token not in str(caught.value) + repr(caught.value.__cause__)
    hub.violations.clear()


def test_an_answer_that_is_not_as_described_is_an_error(hub: Hub, client: GitHub) -> None:
    hub.faults = [Fault("GET", "/comments", status=200)]
    with pytest.raises(GitHubLost, match="description"):
        list(client.pages(COMMENTS, Comment))


def test_the_token_is_in_no_repr(client: GitHub) -> None:
    assert TOKEN not in repr(client)
