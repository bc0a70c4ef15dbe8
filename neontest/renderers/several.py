"""Several projects on one page, with a section each, and in one line; a single one as a page of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from neontest.record import History
from neontest.renderers import markdown, words
from neontest.renderers import running as of_one
from neontest.renderers.budget import shared
from neontest.renderers.markup import escaped
from neontest.renderers.source import Source
from neontest.report import Report, Verdict

WORST_FIRST: Final[tuple[Verdict, ...]] = ("failed", "error", "stopped", "passed")
LONGEST: Final = 240_000
"""Characters of a job's summary: GitHub takes 1 MiB, and a character has at most four bytes.
Source: https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands (2026-11)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One project, as far as its run has come."""

    name: str = ""
    history: History | None = None
    """What is about to be tested, once that is known."""
    report: Report | None = None
    """None before its run has ended, and where it never began."""
    source: Source | None = None


def verdict(parts: Sequence[Part]) -> Verdict:
    """The worst of all; a project that was not run was stopped."""
    return min((each.report.verdict if each.report else "stopped" for each in parts), key=WORST_FIRST.index)


def status(parts: Sequence[Part], *, most: int = 5) -> str:
    """One line: which projects failed, and what became of the others; it names at most so many of each."""
    if len(parts) == 1:
        return words.status(parts[0].report) if parts[0].report is not None else "not run"
    named: dict[str, list[str]] = {each: [] for each in ("failed", "error", "stopped", "not run", "passed", "skipped")}
    for each in parts:
        named[became(each)].append(each.name)
    return "; ".join(f"{what}: {words.listed(names, most)}" for what, names in named.items() if names)


def became(part: Part) -> str:
    if part.report is None:
        return "not run"
    return "skipped" if part.report.skipped else part.report.verdict


def render(parts: Sequence[Part], *, limit: int = markdown.LIMIT) -> str:
    """The page, in at most `limit` characters; what projects with little to say leave, the others have."""
    if len(parts) == 1 and parts[0].report is not None:
        return markdown.render(parts[0].report, source=parts[0].source)
    heading = f"### {markdown.ICONS[verdict(parts)]} neontest: {escaped(status(parts), markdown.LINE)}"
    whole = [section(each, markdown.LIMIT) for each in parts] if len(parts) > 1 else []
    rooms = shared([len(each) + 1 for each in whole], [1.0] * len(whole), limit - len(heading) - 2)
    fits = (
        text if len(text) < room else section(each, room - 1)
        for each, text, room in zip(parts, whole, rooms, strict=False)
    )
    return "\n".join((heading, "", *fits))


def section(part: Part, room: int) -> str:
    """What became of a project; only its heading where there is no room for more."""
    if part.report is None:
        return f"#### ⏹️ {called(part)}: not run\n"
    text = markdown.render(part.report, source=part.source, section=called(part), limit=room)
    return text if len(text) <= room else text.partition("\n")[0] + "\n"


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
