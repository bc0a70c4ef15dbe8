"""Golden files: what a renderer made of a report when somebody last looked at it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "golden"

Golden = Callable[[str, str], None]


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """`golden("clean.md", text)`: the text is as in the file of that name; `--update-golden` writes the file."""

    def compare(name: str, text: str) -> None:
        file = FOLDER / name
        if request.config.getoption("--update-golden"):
            FOLDER.mkdir(exist_ok=True)
            file.write_bytes(text.encode())
        assert file.is_file(), f"{name} is not there: look at what `pytest --update-golden tests/renderers` writes"
        # As bytes: reading text would turn \r\n into \n, and \r or U+2028 are what a renderer must have dealt with.
        assert text == file.read_bytes().decode(), f"{name} is another text now (`--update-golden` writes it)"

    return compare
