"""The findings as SARIF 2.1.0, for code scanning.

Source: https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/sarif-v2.1.0-errata01-os-complete.html and
https://docs.github.com/en/code-security/reference/code-scanning/sarif-files/sarif-support (2026-11).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from typing import Any, Final
from urllib.parse import quote

from neontest import checks
from neontest.renderers import words
from neontest.report import Check, Finding, Level, Report

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
ROOT: Final = "%SRCROOT%"
LEVELS: Final = {Level.ERROR: "error", Level.WARNING: "warning", Level.INFO: "note"}
LINK: Final = re.compile(r"\[(?=[^\[\]]*\]\()")
"""The beginning of what SARIF takes for a link in a message: `[text](address)`."""
MEASURED: Final = re.compile(r"\d[\d.,]*( m \d+ s\b| s\b)?")
"""What another run measures otherwise: a count, a duration."""


def escaped(text: str) -> str:
    """The text as a SARIF message that says just that: no link, no character that JSON or a viewer stumbles over.

    Braces stay single, against the letter of 3.11.5: viewers only read placeholders where there are arguments.
    """
    return LINK.sub(r"\\[", words.clean(text))


def render(report: Report, *, folder: str = "") -> str:
    """One run of the driver `neontest`, with a rule for each check that found something.

    Files start from the top of the repository: `folder` is where in it the project lies.
    """
    found = {check.id: check for check in checks.every()}
    ids = sorted({each.check for each in report.findings})
    seen: Counter[str] = Counter()
    run = {
        "tool": {"driver": {"name": "neontest", "rules": [rule(each, found.get(each)) for each in ids]}},
        **category(report),
        "invocations": [invocation(report)],
        "originalUriBaseIds": {ROOT: {"description": {"text": "The top of the repository."}}},
        "results": [
            {
                **result(report, each, seen),
                "ruleIndex": ids.index(each.check),
                "locations": [location(report, each, folder)],
            }
            for each in report.findings
        ],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False) + "\n"


def category(report: Report) -> dict[str, Any]:
    """Of several projects each has a category of its own: of one category, code scanning keeps one file of a commit."""
    name = words.clean(report.project)
    return {"automationDetails": {"id": f"neontest/{name}/"}} if name else {}


def rule(id_: str, check: Check | None) -> dict[str, Any]:
    """The check's page; only its id where the report names a check that this version has not."""
    told: dict[str, Any] = {"id": escaped(id_)}
    if check is not None:
        page = checks.explanation(check).strip()
        first = " ".join(page.split("\n\n")[0].split())
        told |= {
            "shortDescription": {"text": escaped(check.title)},
            "fullDescription": {"text": escaped(first)},
            "help": {"text": escaped(page), "markdown": page},
            "properties": {"tags": ["database", "migration"]},
        }
    return told


def invocation(report: Report) -> dict[str, Any]:
    """How the run ended; what kept it from testing, and what else there is to say, as notifications."""
    told = [{"level": "error", "message": {"text": trouble(each.message, each.hint)}} for each in report.problems]
    told += [{"level": "note", "message": {"text": escaped(each)}} for each in report.notes]
    return {
        "executionSuccessful": report.verdict in ("passed", "failed"),
        "exitCode": report.exit_code,
        "exitCodeDescription": words.clean(words.verdict(report)),
        "toolExecutionNotifications": told,
    }


def trouble(message: str, hint: str | None) -> str:
    return escaped("\n".join(filter(None, (message, hint))))


def result(report: Report, finding: Finding, seen: Counter[str]) -> dict[str, Any]:
    properties: dict[str, Any] = {"gates": finding.gates}
    if finding.revision:
        properties["revision"] = words.clean(finding.revision)
    return {
        "ruleId": escaped(finding.check),
        "level": LEVELS[finding.level],
        "message": {"text": message(finding)},
        "partialFingerprints": {"neontestFinding/v1": fingerprint(finding, seen)},
        "suppressions": suppressions(report, finding),
        "properties": properties,
    }


def message(finding: Finding) -> str:
    parts = (finding.message, *finding.details, finding.hint, finding.fix)
    return "\n".join(escaped(each) for each in parts if each)


def location(report: Report, finding: Finding, folder: str) -> dict[str, Any]:
    """Where it was found. Code scanning refuses a result without a place: one of the whole run stands at the last
    revision, else at pyproject.toml."""
    file, line = finding.file, finding.line
    if file is None:
        by_id = {each.id: each for each in report.history.revisions}
        named = [finding.revision, *reversed(report.history.pending), *report.history.heads]
        near = next((by_id[each] for each in named if each in by_id and by_id[each].file), None)
        file, line = (near.file, near.line) if near else ("pyproject.toml", None)
    return {
        "physicalLocation": {"artifactLocation": artifact(file, folder), "region": {"startLine": max(line or 1, 1)}}
    }


def artifact(file: str, folder: str) -> dict[str, Any]:
    """The file as a URI: relative to the top of the repository, or as it is where it lies elsewhere."""
    path = quote(words.clean(words.located(file, folder)), safe="/")
    return {"uri": f"file://{path}"} if path.startswith("/") else {"uri": path, "uriBaseId": ROOT}


def fingerprint(finding: Finding, seen: Counter[str]) -> str:
    """The same for the same finding of another run, whatever was measured and wherever its line has moved.

    `primaryLocationLineHash` is left to the upload action, which makes it from the file and warns of any other.
    Source: https://github.com/github/codeql-action/blob/main/src/fingerprints.ts (2026-11).
    """
    said = MEASURED.sub("#", words.clean(finding.message))
    facts = json.dumps([finding.check, finding.revision, finding.file, said])
    digest = hashlib.sha256(facts.encode()).hexdigest()[:32]
    seen[digest] += 1
    return f"{digest}:{seen[digest]}"


def suppressions(report: Report, finding: Finding) -> list[dict[str, str]]:
    """Who accepted it: a comment in the revision's file, or pyproject.toml. Empty where nobody did."""
    if finding.accepted is None:
        return []
    comments = [
        each
        for revision in report.history.revisions
        if revision.id == finding.revision
        for each in revision.accepts
        if each.check == finding.check and each.reason == finding.accepted
    ]
    kind = "inSource" if comments else "external"
    return [{"kind": kind, "status": "accepted", "justification": words.clean(finding.accepted)}]
