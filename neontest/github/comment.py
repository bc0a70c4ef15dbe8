"""One comment for each configuration on a pull request: opened once, edited from then on, found by a hidden marker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from neontest.errors import GitHubDenied, GitHubLost
from neontest.github.models import Comment, User

if TYPE_CHECKING:
    from neontest.github.client import GitHub

LIMIT: Final = 65_536
"""Characters; GitHub refuses a longer comment: 422 "body is too long"."""
START: Final = "<!-- neontest:"
CUT: Final = "**This comment was cut: GitHub takes no longer one. The whole is in the job's summary and log.**"


def marker(name: str) -> str:
    """The first line of the comment of the configuration with this name; readers never see it."""
    return f"{START}{quote(name, safe='/').replace('--', '-%2D')} -->"


def unfinished(key: str) -> str:
    """The second line of a comment that a job still has to write."""
    return f"<!-- neontest-job:{key} -->"


def fitted(name: str, text: str, *, key: str | None = None) -> str:
    """The comment's whole body, never longer than GitHub takes."""
    head = marker(name) + "\n" + (unfinished(key) + "\n" if key else "")
    if size(head + text) <= LIMIT:
        return head + text
    # What says that something is missing comes first: at the end it could stand inside of a code block.
    head += CUT + "\n\n"
    kept = text[: LIMIT - size(head)]
    while size(head + kept) > LIMIT:
        kept = kept[: -max(1, (size(head + kept) - LIMIT) // 2)]
    return head + kept


def size(text: str) -> int:
    """Characters as JavaScript counts them, which is never less than any other way to count."""
    return len(text.encode("utf-16-le", "replace")) // 2


class Sticky:
    """The comment of one configuration on one pull request."""

    def __init__(self, hub: GitHub, pull: int, name: str) -> None:
        self._hub = hub
        self._pull = pull
        self._name = name
        self._known: int | None = None

    def write(self, text: str, *, key: str | None = None) -> None:
        """Let the comment say this; `key` marks it as one that this job has not written for the last time.

        Raises:
            GitHubError: it says what it said before.
        """
        body = fitted(self._name, text, key=key)
        if self._known is None:
            self._known = self._found()
        if self._known is not None:
            try:
                edit(self._hub, self._known, body)
            except GitHubDenied as denied:
                if denied.status not in (404, 410):
                    raise
                self._known = None  # somebody deleted it meanwhile
            else:
                return
        self._known = self._opened(body)

    def _found(self) -> int | None:
        start = marker(self._name)
        return next((each.id for each in own(self._hub, self._pull, start)), None)

    def _opened(self, body: str) -> int:
        """Open the comment; where an answer was lost, look first: two comments would be one too many."""
        from neontest.github.client import TRIES

        path = f"/repos/{self._hub.repository}/issues/{self._pull}/comments"
        for number in range(1, TRIES + 1):
            try:
                return self._hub.send("POST", path, body={"body": body}, twice=False).read(Comment).id
            except GitHubLost:
                if number == TRIES or not self._hub.patience.pause(number):
                    raise
                found = self._found()
                if found is not None:
                    edit(self._hub, found, body)
                    return found
        raise AssertionError("unreachable")


def edit(hub: GitHub, comment: int, body: str) -> None:
    hub.send("PATCH", f"/repos/{hub.repository}/issues/comments/{comment}", body={"body": body})


def own(hub: GitHub, pull: int, start: str) -> Iterator[Comment]:
    """The pull request's comments that begin like this and that neontest wrote, over all pages.

    Whoever quotes one has `>` or text of their own before it; whoever copies it whole is a person, or another bot.
    """
    me: User | None = None
    for comment in hub.pages(f"/repos/{hub.repository}/issues/{pull}/comments", Comment):
        author = comment.user
        if author is None or not (comment.body or "").startswith(start):
            continue
        if author.type != "Bot":
            # A person's own token writes in that person's name; GitHub's token for a job may not ask who it is.
            me = me or myself(hub)
            if author.login != me.login:
                continue
        yield comment


def myself(hub: GitHub) -> User:
    """The person whose token it is; without a name where it is a job's."""
    try:
        return hub.get("/user", User)
    except GitHubDenied:
        return User(login="")
