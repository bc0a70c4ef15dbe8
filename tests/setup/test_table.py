"""`[tool.neontest]` is added, and every other byte stays."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from neontest.errors import ConfigError
from neontest.setup.table import missing, with_table

ENV = {"env": {"APP_DB": "{url}"}}


def own(text: str) -> Any:
    return tomllib.loads(text)["tool"]["neontest"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[project]\nname = 'x' # mine\n\n\n",
        "[project]\nname = 'x'",
        "# [tool.neontest]\n[tool.ruff]\nselect = [\n  'E', # why\n]\n",
        "[tool.'odd key'.\"a.b\"]\n'x' = '''\n[tool.neontest]\n'''\n",
        "[[tool.mypy.overrides]]\nmodule = ['a']\n",
        "[project]\r\nname = 'x'\r\n",
    ],
)
def test_the_rest_stays_byte_for_byte(text: str) -> None:
    new = with_table(text, {"tests": False, **ENV}, file="f")
    assert new.startswith(text)
    assert own(new) == {"tests": False, "env": {"APP_DB": "{url}"}}
    assert with_table(new, {"tests": False, **ENV}, file="f") == new
    assert ("\r\n" in text) == ("\r\n" in new)
    assert "\n" not in new.replace("\r\n", "") or "\r\n" not in text


def test_without_keys_there_is_an_empty_table_once() -> None:
    new = with_table("[project]\nname = 'x'\n", {}, file="f")
    assert own(new) == {}
    assert with_table(new, {}, file="f") == new


@pytest.mark.parametrize(
    "text",
    [
        "[tool.neontest]\nmode = 'whole' # mine\n[tool.ruff]\nx = 1\n",
        "[ tool . 'neontest' ]\nmode = 'whole'\n",
        "[tool.neontest] # last line",
        "[tool.neontest]\r\nmode = 'whole'\r\n\r\n[tool.neontest.env]\r\nOTHER = 'x'\r\n[a]\r\n",
        "[\"tool\".neontest.env]\nOTHER = '{url}'\n[tool.neontest]\n",
        "[[tool.neontest.accept]]\ncheck = 'x'\nreason = 'y'\n[tool.neontest.levels]\nempty = 'off'\n[tool.neontest]\n",
    ],
)
def test_what_is_missing_is_added_to_a_table_that_is_there(text: str) -> None:
    new = with_table(text, {"tests": False, **ENV}, file="f")
    assert own(new)["tests"] is False
    assert own(new)["env"]["APP_DB"] == "{url}"
    assert own(new).get("mode") == own(text).get("mode")
    for line in text.splitlines():
        assert line in new.splitlines()
    assert "\r\n" not in text or "\n" not in new.replace("\r\n", "")
    assert with_table(new, {"tests": False, **ENV}, file="f") == new


def test_a_value_that_is_there_is_its_owners() -> None:
    text = "[tool.neontest]\ntests = 'make test'\nenv = { APP_DB = 'x' }\n"
    assert missing(text, {"tests": False, **ENV}) == {}
    assert with_table(text, {"tests": False, **ENV}, file="f") == text


@pytest.mark.parametrize(
    "text",
    [
        "[tool]\nneontest.mode = 'whole'\n",
        "tool = { neontest = {} }\n",
        "[tool.neontest]\nenv = { OTHER = 'x' }\n",
        "x = '''\n[tool.neontest]\n'''\n[tool]\nneontest = {}\n",
    ],
)
def test_what_cannot_be_added_to_is_said_with_the_lines(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        with_table(text, {"tests": False, **ENV}, file="pyproject.toml")
    assert 'APP_DB = "{url}"' in str(refused.value.hint)


def test_odd_names_and_values_are_quoted() -> None:
    keys = {"alembic-config": 'a "b"\\c\x7f.ini', "env": {"ö.x": "{url}\n"}}
    assert own(with_table("", keys, file="f")) == keys
