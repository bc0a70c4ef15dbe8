"""Expressions mean here what they mean to GitHub, as far as our workflows use them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.github.expressions import condition, rendered

CONTEXTS: dict[str, Any] = {
    "inputs": {"a-b": "x", "empty": ""},
    "env": {"ON": "true"},
    "steps": {"one": {"outcome": "failure", "outputs": {}}},
    "github": {"event": {"number": 7}},
}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("plain", "plain"),
        ("${{ inputs.a-b || env.ON }}", "x"),
        ("${{ inputs.empty || env.ON }}", "true"),
        ("${{ inputs.empty && 'yes' || 'no' }}", "no"),
        ("${{ inputs.a-b != '' }}", True),
        ("${{ inputs.nothing == '' }}", True),
        ("${{ steps.one.outputs.verdict }}", None),
        ("${{ github.event.pull_request.head.repo }}", None),
        ("${{ 'X' == inputs.a-b }}", True),
        ("${{ !inputs.empty && (false || 'it''s') }}", "it's"),
        ("pr-${{ github.event.number }}-${{ inputs.a-b == 'y' }}", "pr-7-false"),
    ],
)
def test_values(written: str, expected: object) -> None:
    assert rendered(written, CONTEXTS, {}) == expected


@pytest.mark.parametrize(
    ("given", "after_success", "after_failure"),
    [
        (None, True, False),
        ("env.ON == 'true'", True, False),
        ("${{ env.ON == 'false' }}", False, False),
        ("always()", True, True),
        ("${{ always() && steps.one.outcome == 'failure' }}", True, True),
        ("failure()", False, True),
        ("!cancelled()", True, True),
    ],
)
def test_conditions(given: str | None, after_success: bool, after_failure: bool) -> None:
    for succeeded, expected in ((True, after_success), (False, after_failure)):
        functions = {
            "success": lambda now=succeeded: now,
            "failure": lambda now=succeeded: not now,
            "always": lambda: True,
            "cancelled": lambda: False,
        }
        assert condition(given, CONTEXTS, functions) is expected
