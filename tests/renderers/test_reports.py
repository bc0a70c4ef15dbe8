"""The set of reports is whole, and is what runs could have written."""

from __future__ import annotations

import pytest

from neontest import checks
from neontest.report import from_json, to_json
from tests.renderers.reports import REPORTS


@pytest.mark.parametrize("name", REPORTS)
def test_every_report_of_the_set_could_have_been_saved(name: str) -> None:
    made = REPORTS[name]()
    assert from_json(to_json(made)) == made
    assert made == REPORTS[name]()


def test_the_set_has_a_finding_of_every_check() -> None:
    assert {each.check for each in REPORTS["findings"]().findings} == {each.id for each in checks.every()}
