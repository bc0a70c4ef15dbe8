"""Whatever is wrong with what neontest is given: one sentence that says it, the right exit code, and nothing left."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bad_input import table
from tests.bad_input.case import Case, Refused, tried

CASES = [pytest.param(case, id=f"{room}: {case.name}") for room, cases in table.every().items() for case in cases]


def test_the_table_is_large_and_each_name_is_there_once() -> None:
    names = [str(each.id) for each in CASES]
    assert len(names) >= 60
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("case", [each for each in CASES if not each.values[0].slow])  # type: ignore[union-attr]
def test_bad_input_is_one_sentence_the_right_code_and_nothing_left(case: Case, local_state: Path) -> None:
    try:
        outcome = tried(case, local_state)
    except Refused as why:
        pytest.skip(str(why))
    assert not outcome.wrong, f"{outcome.wrong}\n{outcome.out}{outcome.err}"
