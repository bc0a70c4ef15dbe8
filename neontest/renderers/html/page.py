"""The page: what stands where, and what it may do."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any, Final

from neontest.renderers import words
from neontest.renderers.html import ending, findings, overview, rows, schema, trace
from neontest.renderers.html.markup import Markup, join, script_json, tag
from neontest.renderers.html.timeline import Timeline, data, timeline
from neontest.report import Report

KEYS: Final = (
    "← and → go from statement to statement, Enter to its place in the list; + and − zoom, Shift with ← and → moves,"
    " 0 shows all. Drag to move; Ctrl and the wheel zoom, or the wheel alone once the picture was clicked."
)
HOW: Final = (
    "How long each visit, statement and lock took was measured; at which moment it began was not recorded. Visits stand"
    " one after another, statements in their order, as far apart as their locks tell; what is left of a visit (loading"
    " env.py, connecting) stands before its first statement."
)


def render(report: Report) -> str:
    """The whole report as one HTML page that loads nothing."""
    style, script = asset("page.css"), asset("page.js")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy(style, script)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", f"neontest: {words.status(report)}"),
        tag("style", style),
    )
    body = tag("body", content(report), tag("script", script))
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


@cache
def asset(name: str) -> Markup:
    """A file beside this module, which is trusted as the code is."""
    return Markup(files("neontest.renderers.html").joinpath(name).read_text(encoding="utf-8"))


def policy(style: str, script: str) -> str:
    """Nothing is loaded, sent or framed, and of scripts and styles only these two count.

    Source: https://www.w3.org/TR/CSP3/ (2026-11).
    """
    return (
        f"default-src 'none'; script-src '{digest(script)}'; style-src '{digest(style)}'; base-uri 'none';"
        " form-action 'none'"
    )


def digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def content(report: Report) -> Markup:
    laid = timeline(report)
    listed = trace.listed(laid)
    parts: list[tuple[str, str, str, Any]] = [
        ("findings", "Findings", str(len(report.findings)), findings.section(report)),
        ("walks", "Revisions", str(len(report.history.pending)), overview.walks(report)),
    ]
    if laid.spans:
        parts += [
            ("timeline", "Timeline", "", picture(report, laid, listed)),
            ("statements", "Statements", f"{len(laid.placed):,}", trace.tables(report, laid, listed)),
            ("schema", "Schema", "", schema.section(report)),
            ("rows", "Rows and sizes", "", rows.section(report)),
        ]
    parts += [
        ("tests", "Tests", "", ending.tests(report)),
        ("grid", "Grid", "", ending.grid(report)),
        ("models", "Models", "", ending.models(report)),
        ("notes", "Notes", str(len(report.notes)), ending.notes(report)),
        ("branches", "Branches", str(len(report.branches)), ending.branches(report)),
        ("about", "The run", "", [ending.about(report), ending.phases(report)]),
        ("checks", "What the checks mean", "", findings.explanations(report)),
    ]
    shown = [(id_, title, count, part) for id_, title, count, part in parts if part is not None]
    sections = [
        tag("section", tag("h2", title, tag("span", count, class_="count") if count else None), part, id=id_,
            aria_label=title)
        for id_, title, count, part in shown
    ]  # fmt: skip
    return join(
        (
            tag("a", "Skip to the findings", href="#findings", class_="skip"),
            themes(),
            overview.header(report),
            overview.contents([(id_, title, count) for id_, title, count, _ in shown]),
            tag("main", sections),
        )
    )


def themes() -> Markup:
    """The switch between light and dark: the style sheet alone reads it."""
    radios = [
        tag("label", tag("input", type="radio", name="theme", id=f"theme-{each}", checked=each == "system"), f" {each}")
        for each in ("system", "light", "dark")
    ]
    return tag("fieldset", tag("legend", "Colours"), radios, class_="theme")


def picture(report: Report, laid: Timeline, listed: frozenset[int]) -> Markup:
    """The place where the script draws, its controls, and the numbers."""
    controls = tag(
        "div",
        [tag("button", sign, type="button", data_do=do, aria_label=said, title=said) for sign, do, said in (
            ("+", "in", "Zoom in"), ("−", "out", "Zoom out"), ("◂", "left", "Move left"), ("▸", "right", "Move right"),
            ("All", "all", "Show all"))],
        tag("label", "Show ", tag("select", tag("option", "the whole run", value=""), id="timeline-walk")),
        tag("span", id="timeline-range", class_="dim"),
        class_="controls",
    )  # fmt: skip
    legend = [
        tag("li", tag("span", class_=f"swatch {name}"), f" {said}")
        for name, said in (
            ("up", "upgrade"), ("down", "downgrade"), ("failed", "failed"), ("statement", "statement"),
            ("rewrite", "rewrites a table"), ("m0", "blocks reads and writes"), ("m1", "blocks writes"),
            ("m4", "other lock"), ("new", "on what the visit made"),
            ("many", "thin: several, too close to be told apart; zoom in"),
        )
    ]  # fmt: skip
    numbers = data(report, laid, listed)
    return join(
        (
            tag("noscript", tag("p", "The picture needs JavaScript; everything that it shows is in the lists below.")),
            tag(
                "div",
                controls,
                tag("div", id="timeline-picture", tabindex=0, role="application", aria_label="Timeline of the run",
                    aria_describedby="timeline-keys"),
                tag("div", id="timeline-info", role="status"),
                tag("ul", legend, class_="legend"),
                tag("p", KEYS, id="timeline-keys", class_="dim"),
                id="timeline-box", hidden=True,
            ),
            tag("p", HOW, class_="dim"),
            tag("p", left_out(*numbers["left"]), class_="dim"),
            tag("script", script_json(numbers), type="application/json", id="timeline-data"),
        )
    )  # fmt: skip


def left_out(statements: int, locks: int) -> str | None:
    """What the picture has not, though the run saw it."""
    parts = [words.plural(statements, "quicker statement")] * bool(statements)
    parts += [words.plural(locks, "shorter lock")] * bool(locks)
    return f"Not drawn: {' and '.join(parts)}; the JSON report has them." if parts else None
