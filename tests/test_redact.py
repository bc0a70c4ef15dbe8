from __future__ import annotations

from urllib.parse import quote

import pytest

from neontest.record import Record, SuiteResult
from neontest.redact import Redactor

PASSWORD = 'p%t@x/"ü'


@pytest.fixture
def redactor() -> Redactor:
    redactor = Redactor()
    redactor.add_url(f"postgresql://owner:{quote(PASSWORD, safe='')}@host/db?sslmode=require")
    return redactor


@pytest.mark.parametrize("spelling", [PASSWORD, quote(PASSWORD, safe=""), 'p%t@x/\\"\\u00fc'])
def test_every_spelling_of_a_password_goes(redactor: Redactor, spelling: str) -> None:
    assert redactor.text(f"it is {spelling}!") == "it is ***!"


def test_a_password_in_any_url_goes_even_an_unknown_one() -> None:
    text = Redactor().text("connect to postgresql+psycopg2://u:hunter2@h:5432/d failed")
    assert text == "connect to postgresql+psycopg2://u:***@h:5432/d failed"


def test_short_secrets_do_not_riddle_the_text() -> None:
    redactor = Redactor()
    redactor.add("a")
    assert redactor.text("a banana") == "a banana"


def test_every_text_of_a_struct_is_cleaned(redactor: Redactor) -> None:
    tests = SuiteResult(command=("pytest", PASSWORD), exit_code=1, seconds=1.0, output_tail=f"x{PASSWORD}y")
    record = redactor.struct(Record(engine="local", notes=(PASSWORD,), tests=tests))
    assert record.notes == ("***",)
    assert record.tests is not None
    assert record.tests.command == ("pytest", "***")
    assert record.tests.output_tail == "x***y"
    assert record.tests.exit_code == 1


def test_the_repr_tells_nothing(redactor: Redactor) -> None:
    assert PASSWORD not in repr(redactor)


def test_who_masks_is_told_of_a_url_and_its_password_once_and_of_nothing_else() -> None:
    told: list[str] = []
    redactor = Redactor(told.append)
    redactor.add("napi_key")
    for _ in range(2):
        redactor.add_url("postgresql://u:p%40ss@h/d")
    assert told == ["postgresql://u:p%40ss@h/d", "p@ss"]
