"""`python -m tests.chaos NAME [options]` runs one matrix of this package; without a name, they are listed."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import sys
from pathlib import Path

HERE = Path(__file__).parent


def names() -> list[str]:
    """The modules here that have a `main`: the others are parts of them, or tests."""
    found = (each.name for each in pkgutil.iter_modules([str(HERE)]) if each.name != "__main__")
    return sorted(name for name in found if any(_is_main(node) for node in _parsed(name).body))


def about(name: str) -> str:
    """The first line of the module's docstring, without importing it."""
    return (ast.get_docstring(_parsed(name)) or "").partition("\n")[0]


def _parsed(name: str) -> ast.Module:
    return ast.parse((HERE / f"{name}.py").read_text(encoding="utf-8"))


def _is_main(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name == "main"


def main(args: list[str]) -> int:
    if args[:1] and args[0] in names():
        module = importlib.import_module(f"tests.chaos.{args[0]}")
        code: int = module.main(args[1:])
        return code
    width = max(map(len, names()), default=0)
    for name in names():
        print(f"{name:<{width}}  {about(name)}")
    return 2 if args else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
