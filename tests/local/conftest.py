"""What the tests of local clusters share.

Written anew from how its fixtures are used: the first version of this file, with more in it, was overwritten by
mistake before it was committed (22 November, 14:49). Its author's own is to replace this one; nothing else needs it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from neontest.local import binaries as found_binaries
from neontest.local.binaries import Binaries


@pytest.fixture
def room() -> Iterator[Path]:
    """A folder that the servers' account can reach too, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="neontest-local-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def binaries() -> Binaries:
    """The Postgres that `run` would take."""
    return found_binaries.find(environ=os.environ)
