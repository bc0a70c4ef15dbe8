from __future__ import annotations

import base64
from collections.abc import Callable
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


@pytest.mark.parametrize("before", ["", "x", "xy", "owner:"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_longer_secret_goes_from_within_base64_too(encode: Callable[[bytes], bytes], before: str) -> None:
    redactor, key = Redactor(), "napi_0123456789?>~abcdef"
    redactor.add(key)
    told = redactor.text(f"Basic {encode((before + key + '@host').encode()).decode()}")
    assert "***" in told
    assert len(told) < 30  # what is left is of its neighbours
    assert redactor.text("MDEyMzQ1 aWYgbm90aGluZw==") == "MDEyMzQ1 aWYgbm90aGluZw=="


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
