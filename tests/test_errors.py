from __future__ import annotations

import re

import pytest

from neontest.errors import GitHubError, one_line


@pytest.mark.parametrize(
    "text", ["::error::x", " ::error::x", "\n::add-mask::x", "##[error]x", "a ##[endgroup]", "\x1b[2J::x", "a\r::b"]
)
def test_what_others_said_is_one_line_and_no_command_to_githubs_runner(text: str) -> None:
    for line in (one_line(text), GitHubError(text).message):
        assert line.splitlines() == [line]
        assert line.isprintable()
        assert re.search(r"^\s*::|##\[", line) is None
        assert re.sub(r"\W", "", line) == re.sub(r"\W", "", text)
