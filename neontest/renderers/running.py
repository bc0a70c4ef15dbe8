"""What a pull request shows while its migrations are tested."""

from __future__ import annotations

from typing import Final

from neontest.record import History
from neontest.renderers import words
from neontest.renderers.markup import escaped

MOST: Final = 30
"""Revisions that are named."""


def render(history: History) -> str:
    """That it runs, and what is pending."""
    messages = {each.id: each.message for each in history.revisions}
    lines = [f"### ⏳ neontest: running, {words.plural(len(history.pending), 'pending revision')}", ""]
    lines += [f"- {escaped(each)} {escaped(messages.get(each, ''))}".rstrip() for each in history.pending[:MOST]]
    if len(history.pending) > MOST:
        lines.append(f"- and {len(history.pending) - MOST:,} more")
    return "\n".join(lines) + "\n"
