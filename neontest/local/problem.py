"""A refusal, in the shape in which Neon refuses."""

from __future__ import annotations


class Problem(Exception):
    """Raised anywhere below the application, answered as `{"request_id", "code", "message"}`."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code


def not_found(what: str) -> Problem:
    return Problem(404, f"{what} not found")


def locked() -> Problem:
    """Neon's own words; a client may always try again, whatever the method was."""
    return Problem(423, "project already has running conflicting operations, scheduling of new ones is prohibited")
