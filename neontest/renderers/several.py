"""Several projects on one page, with a section each; a single one as a page of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from neontest.record import History
from neontest.renderers import markdown, words
from neontest.renderers import running as of_one
from neontest.renderers.budget import shared
from neontest.renderers.markup import escaped
from neontest.renderers.parts import Part, status, verdict

REST: Final = 40
"""Characters that are kept for saying how many projects are left out."""
LONGEST: Final = 240_000
"""Characters of a job's summary: GitHub takes 1 MiB, and a character has at most four bytes.
Source: https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands (2026-11)."""


def render(parts: Sequence[Part], *, limit: int = markdown.LIMIT) -> str:
    """The page, in at most `limit` characters; what projects with little to say leave, the others have."""
    if len(parts) == 1 and parts[0].report is not None:
        return markdown.render(parts[0].report, source=parts[0].source)
    heading = f"### {markdown.ICONS[verdict(parts)]} neontest: {escaped(status(parts), markdown.LINE)}"
    sections = [fitting(each) for each in parts] if len(parts) > 1 else []
    whole = [fit(markdown.LIMIT) for fit in sections]
    rooms = shared([len(each) + 1 for each in whole], [1.0] * len(whole), limit - REST - len(heading) - 2)
    page = "\n".join((heading, ""))
    for at, (text, room) in enumerate(zip(whole, rooms, strict=True)):
        told = text if len(text) < room else sections[at](room - 1)
        if len(page) + len(told) > limit - REST:  # not even all headings have room
            return f"{page}\n… and {words.plural(len(parts) - at, 'more project')}\n"
        page += f"\n{told}"
    return page


def fitting(part: Part) -> Callable[[int], str]:
    """What renders the section of a project in any number of characters; only its heading where more has no room."""
    if part.report is None:
        nothing = f"#### ⏹️ {called(part)}: not run\n"
        return lambda room: nothing
    section = markdown.fitting(part.report, source=part.source, section=called(part))

    def fit(room: int) -> str:
        text = section(room)
        return text if len(text) <= room else text.partition("\n")[0] + "\n"

    return fit


def called(part: Part) -> str:
    """Its name, which a report of a fork may say as it likes."""
    return escaped(part.name or "a project without a name", 80)


def running(parts: Sequence[Part]) -> str:
    """What a pull request shows meanwhile: what has ended, what runs, what is still to come."""
    if len(parts) == 1:
        return of_one.render(parts[0].history or History())
    at = next((at for at, each in enumerate(parts) if each.report is None), len(parts) - 1)
    heading = f"### ⏳ neontest: running, project {at + 1} of {len(parts)}"
    return "\n".join((heading, "", *lines(parts, at))) + "\n"


def ended(line: str) -> bool:
    """The line of such a page says what became of a project that has ended."""
    return line.startswith(tuple(f"- {icon} " for icon in (markdown.SKIPPED, *markdown.ICONS.values())))


def lines(parts: Sequence[Part], running: int) -> Iterator[str]:
    for at, part in enumerate(parts):
        name = called(part)
        if part.report is not None:
            yield f"- {markdown.icon(part.report)} {name}: {escaped(words.status(part.report), markdown.LINE)}"
        elif at == running:
            count = len(part.history.pending) if part.history is not None else 0
            yield f"- ⏳ {name}: running" + f", {words.plural(count, 'pending revision')}" * bool(count)
        else:
            yield f"- {name}: not yet"
