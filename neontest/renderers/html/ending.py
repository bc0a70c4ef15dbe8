"""Tests, models, branches, and what else the run says of itself."""

from __future__ import annotations

from neontest.renderers import words
from neontest.renderers.html.markup import Markup, join, number, table, tag
from neontest.report import Report


def tests(report: Report) -> Markup:
    """How the project's tests went, the names of those that failed, the end of what they said."""
    result = report.tests
    parts = [tag("p", words.tests(report))]
    if result is not None and result.failures:
        parts.append(tag("ul", [tag("li", tag("code", each)) for each in result.failures]))
    if result is not None and result.output_tail:
        failed = result.exit_code != 0
        parts.append(
            tag("details", tag("summary", "the end of their output"), tag("pre", result.output_tail), open=failed)
        )
    return join(parts)


def grid(report: Report) -> Markup | None:
    """Old and new code on the old and the new schema."""
    if not report.cells:
        return None
    rows = [
        tag("tr", tag("th", whose, scope="row"), [tag("td", each) for each in cells])
        for whose, *cells in words.grid(report)
    ]
    return table(("", "old schema", "new schema"), rows, class_="narrow")


def models(report: Report) -> Markup | None:
    """In what the project's models and the migrated database differ."""
    if report.models is None:
        return None
    found = report.models
    compared = words.plural(found.tables, "table") + " in the models"
    said = f"{compared}, {words.plural(len(found.drift), 'difference')} from the database at head"
    rows = [
        tag("tr", tag("td", each.what), tag("td", tag("code", each.line) if each.line else None))
        for each in found.drift
    ]
    return join((tag("p", found.note or said), table(("difference", "operation"), rows) if rows else None))


def branches(report: Report) -> Markup | None:
    """Every branch that the run took, and what became of it."""
    if not report.branches:
        return None
    rows = [
        tag("tr", tag("td", each.id), tag("td", each.name), tag("td", each.role),
            tag("td", f"{each.created_at:%Y-%m-%d %H:%M:%S}Z"), number(words.duration(each.ready_seconds)),
            tag("td", words.branch(each), class_="bad" if words.left(each) else None))
        for each in report.branches
    ]  # fmt: skip
    return table(("branch", "name", "role", "made", "ready after", "what became of it"), rows)


def phases(report: Report) -> Markup | None:
    """How long each phase took."""
    if not report.seconds:
        return None
    rows = [
        tag("tr", tag("td", name.replace("_", " ")), number(words.duration(seconds)))
        for name, seconds in report.seconds.items()
    ]
    return table(("phase", "took"), rows, class_="narrow")


def notes(report: Report) -> Markup | None:
    if not report.notes:
        return None
    return tag("ul", [tag("li", each) for each in report.notes])


def about(report: Report) -> Markup:
    """What was compared with what, and by which limits it was judged."""
    limits = report.limits
    facts = [
        ("parent", " ".join(filter(None, (report.parent_name, report.parent)))),
        ("day", f"{report.today:%Y-%m-%d}" if report.today else ""),
        ("a lock may block for", words.duration(limits.lock_seconds)),
        ("a migration may take", words.duration(limits.migration_seconds)),
        ("a statement may take", words.duration(limits.statement_seconds)),
        ("a table is small below", words.plural(limits.small_table, "row")),
    ]
    return tag("dl", [tag("div", tag("dt", name), tag("dd", said)) for name, said in facts if said], class_="facts")
