from __future__ import annotations

import importlib
from collections.abc import Callable

import msgspec
import pytest

from neontest import renderers
from neontest.report import Finding, Level, Report, from_json
from tests.renderers.conftest import Golden
from tests.renderers.reports import REPORTS, report, small

ENDINGS = {
    "annotations": "annotations.txt",
    "console": "console.txt",
    "json": "json",
    "junit": "junit.xml",
    "sarif": "sarif",
}

HALF = "caf\udce9\ufffe\x0b ]]> ::error::%0A"
"""A file name whose bytes are no UTF-8, as Python holds it, and what no XML document can hold."""


@pytest.mark.parametrize("name", renderers.formats())
def test_every_module_beside_the_words_is_a_format(name: str) -> None:
    module = importlib.import_module(f"neontest.renderers.{name}")
    assert callable(module.render)
    assert (module.__doc__ or "").strip()


@pytest.mark.parametrize("form", ENDINGS)
@pytest.mark.parametrize("name", small())
def test_it_is_told_as_in_the_golden_file(golden: Golden, name: str, form: str) -> None:
    golden(f"{name}.{ENDINGS[form]}", renderers.rendered(REPORTS[name](), form))


def test_300_revisions_are_annotated_as_in_the_golden_file(golden: Golden) -> None:
    """In the other formats these are half a megabyte and more: there, tests ask for what must hold."""
    golden("many.annotations.txt", renderers.rendered(REPORTS["many"](), "annotations"))


def test_json_is_read_again() -> None:
    for make in REPORTS.values():
        assert from_json(renderers.rendered(make(), "json")) == make()


@pytest.mark.parametrize("form", renderers.formats())
@pytest.mark.parametrize("make", REPORTS.values(), ids=list(REPORTS))
def test_every_text_can_be_written_whatever_names_hold(form: str, make: Callable[[], Report]) -> None:
    odd = Finding(check="data-loss", level=Level.ERROR, message=HALF, revision=HALF, file=HALF, hint=HALF, line=3)
    made = make()
    text = renderers.rendered(msgspec.structs.replace(made, findings=(*made.findings, odd), notes=(HALF,)), form)
    assert text.encode().decode() == text
    assert "\x0b" not in text


def test_only_a_format_that_asks_is_told_of_its_surroundings() -> None:
    assert "\x1b[" in renderers.rendered(report(), "console", width=60, color=True)
    assert renderers.rendered(report(), "json", width=60, color=True) == renderers.rendered(report(), "json")
