"""The report as JSON, version 1: all of it, as `neontest report` reads it again."""

from __future__ import annotations

from neontest.report import Report, to_json


def render(report: Report) -> str:
    """The report as `neontest/report-v1.schema.json` describes it."""
    return to_json(report)
