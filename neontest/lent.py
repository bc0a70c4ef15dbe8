"""A branch that neontest lends to tests, in the words in which one process tells another of it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Final

from neontest.errors import UsageError

BRANCH: Final = "NEONTEST_BRANCH"
"""The variable by which `neontest run` tells the tests that it runs of the branch that they are on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lent:
    """A branch at head."""

    id: str
    name: str
    url: str = field(repr=False)
    """Direct, a secret."""
    driver: str
    """The driver that the project uses, by SQLAlchemy's name."""


def written(branch: Lent) -> str:
    """The branch as one line of JSON, with its secret."""
    return json.dumps(asdict(branch))


def read(text: str) -> Lent:
    """The branch that `written` wrote.

    Raises:
        UsageError: it is something else; what, is not said: it may hold a secret.
    """
    try:
        found = json.loads(text)
        if not all(isinstance(each, str) for each in found.values()):
            raise TypeError
        return Lent(**found)
    except (ValueError, TypeError, AttributeError):
        raise UsageError(
            f"{BRANCH} does not tell of a branch", hint="it is for `neontest run` to set: leave it out"
        ) from None
