"""A data folder, copied elsewhere and then put in its place, so that it is whole there or absent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2

from neontest.errors import LocalError
from neontest.local import remains
from neontest.local.copy_tree import copy_tree
from neontest.local.setup import Setup


@dataclass(frozen=True, slots=True, kw_only=True)
class Untouched:
    """What a cluster is whose server never ran: a copy of a template, still to be made, and passwords to be set."""

    template: Path
    """A fresh cluster's data, or what a parent was made into."""
    passwords: Mapping[str, str] = field(repr=False)
    """By role. They are each project's own, so the template has none, or others."""
    made: bool = False
    """The template is of a parent, and not fresh."""

    def place(self, setup: Setup, id: str) -> None:
        """The copy, in its place."""
        place(setup, id, lambda data: copy_tree(self.template, data, account=setup.account))


def place(setup: Setup, id: str, copy: Callable[[Path], None]) -> None:
    """Let `copy` make the data folder of the cluster with this id, which has a folder.

    Raises:
        LocalError: it could not be made.
    """
    staging, data = setup.state / "new" / id, setup.folder(id) / "data"
    remains.remove(staging, staging)  # of a dead owner
    try:
        staging.mkdir(mode=0o700)
        copy(staging / "data")
        remains.remove(data, data)  # of a first start that failed
        (staging / "data").rename(data)
    except (OSError, psycopg2.Error) as error:
        raise LocalError(f"the local branch {id} could not be made: {str(error).strip()}") from error
    finally:
        remains.remove(staging, staging)
