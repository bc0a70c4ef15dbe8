"""A plugin of pytest that runs only the tests named in `only.json` beside it, by their names in JUnit files.

It is copied into a run's private folder, and loaded by the project's pytest, whatever command that is called by: so it
imports nothing of neontest, and is written for Python 3.8.
"""

import json
import re
from pathlib import Path

import pytest


def junit_name(nodeid: str) -> str:
    """As pytest's own JUnit writer names it (`_pytest.junitxml.mangle_test_address`)."""
    path, bracket, parameters = nodeid.partition("[")
    names = path.split("::")
    names[0] = re.sub(r"\.py$", "", names[0].replace("/", "."))
    return ".".join(names[:-1]) + "::" + names[-1] + bracket + parameters


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: "list[pytest.Item]") -> None:
    wanted = set(json.loads(Path(__file__).with_name("only.json").read_text(encoding="utf-8")))
    others = [each for each in items if junit_name(each.nodeid) not in wanted]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [each for each in items if junit_name(each.nodeid) in wanted]
