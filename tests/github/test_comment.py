from __future__ import annotations

import pytest

from neontest.errors import GitHubDenied, GitHubError
from neontest.github.client import GitHub
from neontest.github.comment import LIMIT, Sticky, fitted, marker, size
from tests.github.hub import Fault, Hub

PERSON = {"login": "octocat", "type": "User"}


def test_the_comment_is_opened_once_and_edited_from_then_on(hub: Hub, client: GitHub) -> None:
    sticky = Sticky(client, 7, "default")
    sticky.write("running", key="k")
    assert hub.bodies(7) == ["<!-- neontest:default -->\n<!-- neontest-job:k -->\nrunning"]
    sticky.write("passed")
    assert hub.bodies(7) == ["<!-- neontest:default -->\npassed"]
    assert len(hub.sent("GET")) == 1


def test_a_later_run_finds_it_on_page_three(hub: Hub, client: GitHub) -> None:
    hub.page_size = 2
    for number in range(5):
        hub.comment(7, f"hello {number}", PERSON)
    ours = hub.comment(7, marker("default") + "\nold")
    Sticky(client, 7, "default").write("new")
    assert ours["body"].endswith("new")
    assert len(hub.bodies(7)) == 6


def test_each_configuration_has_its_own(hub: Hub, client: GitHub) -> None:
    for name in ("a", "ab", "a -->", "a--b"):
        Sticky(client, 7, name).write(f"one {name}")
    for name in ("a", "ab", "a -->", "a--b"):
        Sticky(client, 7, name).write(f"two {name}")
    assert [each.partition("\n")[2] for each in hub.bodies(7)] == ["two a", "two ab", "two a -->", "two a--b"]
    assert all(each.index("-->") == each.index("\n") - 3 for each in hub.bodies(7))


@pytest.mark.parametrize(
    "body",
    ["> " + marker("default") + "\n> failed", "see\n" + marker("default"), marker("default") + "\nmine", "x"],
)
def test_what_a_person_wrote_is_never_overwritten(hub: Hub, client: GitHub, body: str) -> None:
    hub.comment(7, body, PERSON)
    Sticky(client, 7, "default").write("ours")
    assert hub.bodies(7) == [body, marker("default") + "\nours"]


def test_with_a_persons_token_the_comment_is_that_persons(hub: Hub, client: GitHub) -> None:
    hub.me = PERSON
    hub.comment(7, marker("default") + "\nanother's", {"login": "mallory", "type": "User"})
    Sticky(client, 7, "default").write("one")
    Sticky(client, 7, "default").write("two")
    assert [each.partition("\n")[2] for each in hub.bodies(7)] == ["another's", "two"]


@pytest.mark.parametrize("fault", [{"status": 502}, {"drop": True}])
@pytest.mark.parametrize("committed", [True, False])
def test_a_lost_answer_never_makes_two_comments(
    hub: Hub, client: GitHub, fault: dict[str, int], committed: bool
) -> None:
    hub.faults = [Fault("POST", "/comments", committed=committed, **fault)]
    Sticky(client, 7, "default").write("ours")
    assert hub.bodies(7) == [marker("default") + "\nours"]


def test_a_comment_that_somebody_deleted_is_opened_anew(hub: Hub, client: GitHub) -> None:
    sticky = Sticky(client, 7, "default")
    sticky.write("one")
    hub.comments.clear()
    sticky.write("two")
    assert hub.bodies(7) == [marker("default") + "\ntwo"]


@pytest.mark.parametrize("code", [403, 404, 422])
def test_a_refusal_is_an_error(hub: Hub, client: GitHub, code: int) -> None:
    hub.faults = [Fault("POST", "/comments", status=code)]
    with pytest.raises(GitHubDenied):
        Sticky(client, 7, "default").write("x")


def test_a_server_that_stays_down_is_an_error(hub: Hub, client: GitHub) -> None:
    hub.faults = [Fault("GET", "/comments", status=502, times=99)]
    with pytest.raises(GitHubError):
        Sticky(client, 7, "default").write("x")


@pytest.mark.parametrize("text", ["x" * 70_000, "😀" * 40_000, "é\n" * 40_000, "x" * (LIMIT - len(marker("d")) - 1)])
def test_more_than_github_takes_is_cut_and_said(hub: Hub, client: GitHub, text: str) -> None:
    body = fitted("d", text)
    assert LIMIT - 2 <= size(body) <= LIMIT
    assert ("was cut" in body) is (size(text) > LIMIT)
    assert body.startswith(marker("d") + "\n")
    Sticky(client, 7, "d").write(text)
    assert hub.bodies(7) == [body]


@pytest.mark.parametrize("quote", ["> {}\n> failed", "see\n{}", " x {}"])
@pytest.mark.parametrize("me", [None, PERSON])
def test_a_quote_by_our_own_account_is_not_overwritten_either(
    hub: Hub, client: GitHub, quote: str, me: dict[str, str] | None
) -> None:
    hub.me = me
    hub.comment(7, quote.format(marker("default")), me)
    Sticky(client, 7, "default").write("ours")
    assert hub.bodies(7) == [quote.format(marker("default")), marker("default") + "\nours"]
