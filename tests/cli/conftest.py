from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from neontest.cli import main

_NAME = "neontest_tests_server"
if _NAME not in sys.modules:
    _SPEC = importlib.util.spec_from_file_location(_NAME, Path(__file__).parents[1] / "neon" / "server.py")
    assert _SPEC is not None
    assert _SPEC.loader is not None
    sys.modules[_NAME] = importlib.util.module_from_spec(_SPEC)
    _SPEC.loader.exec_module(sys.modules[_NAME])
_SERVER: Any = sys.modules[_NAME]


@dataclass(frozen=True)
class Said:
    """What one command line answered."""

    code: int
    out: str
    err: str


@pytest.fixture
def fake_neon() -> Iterator[Any]:
    """A Neon API on a loopback socket, without Postgres behind it."""
    with _SERVER.serving() as fake:
        yield fake


@pytest.fixture
def on_neon(
    fake_neon: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Said]:
    """Runs a command line in an environment as a person has who works on that API."""
    monkeypatch.setenv("NEON_API_KEY", _SERVER.KEY)
    monkeypatch.setenv("NEON_API_HOST", fake_neon.url)
    monkeypatch.setenv("NEON_PROJECT_ID", _SERVER.PROJECT)
    monkeypatch.setenv("NEONTEST_LEDGER", str(tmp_path / "ledger"))
    monkeypatch.setenv("NEONTEST_STATE", str(tmp_path / "local"))
    monkeypatch.chdir(tmp_path)

    def run(*args: str) -> Said:
        capfd.readouterr()
        code = main.run(list(args))
        out, err = capfd.readouterr()
        assert _SERVER.KEY not in out + err
        return Said(code, out, err)

    return run
