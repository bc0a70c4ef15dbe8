from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

PR_GET_DUMPABLE = 3


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc/PID/environ and prctl")
def test_the_memory_of_a_run_is_closed_and_that_of_its_children_is_not() -> None:
    script = (
        "import ctypes, subprocess, sys; from neontest.cli.secrecy import hide_memory; hide_memory()\n"
        "ask = 'import ctypes; print(ctypes.CDLL(None).prctl(3))'\n"
        "print(ctypes.CDLL(None).prctl(3), subprocess.check_output([sys.executable, '-c', ask], text=True).strip())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "1"]


@pytest.mark.parametrize(
    "words",
    [["run"], ["hold"], ["cleanup"], ["doctor"], ["publish", __file__], ["serve"], ["sweep"], ["branches"]],
    ids=lambda words: words[0],
)
def test_every_command_that_has_keys_beside_the_projects_code_hides_them_first(words: list[str]) -> None:
    script = (
        "import sys; from neontest.cli import main, secrecy; secrecy.hide_memory = lambda: sys.exit(77)\n"
        f"main.main({words!r})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 77, done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it is for the system to say")
def test_a_run_that_crashes_leaves_no_core_with_the_key_in_it() -> None:
    limit = "import os, resource; resource.setrlimit(resource.RLIMIT_CORE, (4096, resource.RLIM_INFINITY))\n"
    hide = "from neontest.cli.secrecy import hide_memory; hide_memory()\n"
    crash = "import faulthandler; faulthandler.enable(); KEY = 'napi_s3cret'; os.abort()"
    process = subprocess.Popen([sys.executable, "-c", limit + hide + crash], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    told = process.stderr.read()
    process.stderr.close()
    _, status = os.waitpid(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == -signal.SIGABRT
    assert not os.WCOREDUMP(status)
    assert "Fatal Python error: Aborted" in told
    assert "s3cret" not in told
