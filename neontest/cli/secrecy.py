"""Keeps this process's memory and environment, which hold the API key, from other processes of the same user."""

from __future__ import annotations

import sys
from typing import Final

PR_SET_DUMPABLE: Final = 4
"""Source: https://man7.org/linux/man-pages/man2/PR_SET_DUMPABLE.2const.html (2026-11)."""


def hide_memory() -> None:
    """Make /proc/PID/environ and /proc/PID/mem of this process readable by root only; on Linux.

    Migrations and tests run as the same user. It does not stop those that run as root, nor what `sudo` allows.
    """
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
