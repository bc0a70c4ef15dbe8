"""Always the same interleavings, in a bounded time: `python -m tests.chaos leases` tries others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def test_no_interleaving_deletes_what_is_not_ours_or_leaves_what_is(pytestconfig: pytest.Config) -> None:
    """In a process of its own: hypothesis takes numbers and words from all of our modules that are imported."""
    many = "100" if pytestconfig.getoption("thorough") else "50"
    command = [sys.executable, "-m", "tests.chaos", "leases", "--derandomize", "--examples", many, "--steps", "30"]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{many} interleavings" in done.stdout
