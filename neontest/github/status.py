"""The commit status `neontest`: what a branch protection rule waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from neontest.errors import one_line
from neontest.github.models import Status
from neontest.report import Verdict

if TYPE_CHECKING:
    from neontest.github.client import GitHub

CONTEXT: Final = "neontest"
DESCRIPTION_LIMIT: Final = 140
"""Characters. Source: https://docs.github.com/en/rest/commits/statuses (2026-11)."""

State = Literal["pending", "success", "failure", "error"]
STATES: Final[dict[Verdict, State]] = {"passed": "success", "failed": "failure", "error": "error", "stopped": "error"}


def set_status(
    hub: GitHub, sha: str, state: State, description: str, *, url: str | None, context: str = CONTEXT
) -> None:
    """Set the status of the commit.

    Source: https://docs.github.com/en/rest/commits/statuses#create-a-commit-status (2026-11).

    Raises:
        GitHubError: it is as it was.
    """
    description = one_line(description)  # of a fork's report, too
    if len(description) > DESCRIPTION_LIMIT:
        description = description[: DESCRIPTION_LIMIT - 1] + "…"
    body = {"state": state, "context": context, "description": description}
    if url:
        body["target_url"] = url
    hub.send("POST", f"/repos/{hub.repository}/statuses/{sha}", body=body)


def state(hub: GitHub, sha: str, context: str) -> str | None:
    """What the status of the commit says now; None where it has none of this name.

    Source: https://docs.github.com/en/rest/commits/statuses#list-commit-statuses-for-a-reference (2026-11): the latest
    come first.

    Raises:
        GitHubError: GitHub does not say.
    """
    found = hub.pages(f"/repos/{hub.repository}/commits/{sha}/statuses", Status)
    return next((each.state for each in found if each.context == context), None)
