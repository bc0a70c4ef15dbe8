from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from neontest import suite
from neontest.errors import UsageError
from neontest.record import SuiteResult
from neontest.stop import Deadline, Stop

PYTHON = Path(sys.executable)


def run(tmp_path: Path, *words: str, seconds: float = 60, environment: dict[str, str] | None = None) -> SuiteResult:
    return suite.run(
        words,
        environment={**os.environ, **(environment or {})},
        cwd=tmp_path,
        deadline=Deadline(seconds, what="the tests"),
        stop=Stop(),
        log=lambda line: None,
        scratch=tmp_path,
    )


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "zombie" not in Path(f"/proc/{pid}/status").read_text() if Path("/proc").exists() else True


def test_counts_come_from_pytest_however_deep_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pytest\ndef test_a(): pass\ndef test_b(): assert 0\n@pytest.mark.skip\ndef test_c(): pass\n"
        "@pytest.fixture\ndef broken(): raise OSError\ndef test_d(broken): pass\n"
    )
    result = run(tmp_path, "sh", "-c", f"{PYTHON} -m pytest -p no:cacheprovider; exit $?")
    assert (result.passed, result.failed, result.errors, result.skipped) == (1, 1, 1, 1)
    assert result.exit_code == 1
    assert result.failures == ("test_it::test_b", "test_it::test_d")


def test_a_command_that_is_no_pytest_has_no_counts(tmp_path: Path) -> None:
    result = run(tmp_path, "sh", "-c", "echo hello; exit 3")
    assert (result.exit_code, result.passed, result.output_tail) == (3, None, "hello")


def test_own_addopts_are_kept(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_a(): pass\ndef test_b(): pass\n")
    result = run(tmp_path, str(PYTHON), "-m", "pytest", environment={"PYTEST_ADDOPTS": "-k test_a"})
    assert result.passed == 1


def test_a_suite_that_hangs_is_stopped_with_all_that_it_started(tmp_path: Path) -> None:
    script = "trap '' INT; sleep 600 & echo $! > child; wait; wait; sleep 600"
    began = time.monotonic()
    result = run(tmp_path, "sh", "-c", script, seconds=0.5)
    assert result.timed_out
    assert time.monotonic() - began < 60
    assert not alive(int((tmp_path / "child").read_text()))


def test_what_a_suite_leaves_in_the_background_is_ended_and_not_waited_for(tmp_path: Path) -> None:
    result = run(tmp_path, "sh", "-c", "sleep 600 & echo $! > child; echo done")
    assert result.exit_code == 0
    assert result.output_tail == "done"
    assert not alive(int((tmp_path / "child").read_text()))


def test_a_command_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be started: no-such-command: No such file"):
        run(tmp_path, "no-such-command")


def test_it_cannot_ask_questions(tmp_path: Path) -> None:
    assert run(tmp_path, "sh", "-c", "read answer && echo got").exit_code != 0


def test_bytes_that_are_no_text_do_no_harm(tmp_path: Path) -> None:
    assert run(tmp_path, "printf", r"\377\n").output_tail == "\ufffd"


@pytest.mark.parametrize(
    ("tests", "expected"),
    [
        (None, (str(PYTHON), "-m", "pytest")),
        ("pytest tests/app -q", (str(PYTHON), "-m", "pytest", "tests/app", "-q")),
        (["pytest", "a b"], (str(PYTHON), "-m", "pytest", "a b")),
        ("make 'a b'", ("make", "a b")),
    ],
)
def test_commands(tests: str | list[str] | None, expected: tuple[str, ...]) -> None:
    assert suite.command(tests, PYTHON) == expected


@pytest.mark.parametrize("tests", ["", [], "it's"])
def test_commands_that_are_none(tests: str | list[str]) -> None:
    with pytest.raises(UsageError):
        suite.command(tests, PYTHON)


@pytest.mark.parametrize("trick", ["mkfifo {}", "ln -s /dev/zero {}", "mkdir {}", "printf '<testsuite' > {}"])
def test_a_junit_file_that_is_none_hangs_nobody(tmp_path: Path, trick: str) -> None:
    result = run(tmp_path, "sh", "-c", trick.format("junit.xml"))
    assert (result.exit_code, result.passed) == (0, None)
