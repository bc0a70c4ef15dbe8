"""What is read of GitHub's answers; all else in them is ignored.

Source: https://docs.github.com/en/rest (2026-11), and its OpenAPI description, from which the tests answer.
"""

from __future__ import annotations

import msgspec


class User(msgspec.Struct, frozen=True):
    login: str
    type: str = ""
    """`Bot` for GitHub's own and for Apps, `User` for people."""


class Comment(msgspec.Struct, frozen=True):
    id: int
    body: str | None = None
    user: User | None = None


class Repository(msgspec.Struct, frozen=True):
    full_name: str


class Side(msgspec.Struct, frozen=True):
    """The head or the base of a pull request."""

    sha: str
    repo: Repository | None = None
    """None where the fork is gone."""


class Pull(msgspec.Struct, frozen=True):
    number: int
    state: str
    head: Side
    base: Side


class Status(msgspec.Struct, frozen=True):
    context: str
    state: str
