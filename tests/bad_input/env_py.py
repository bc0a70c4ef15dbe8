"""An env.py that does what no env.py should, and the URLs that it may hold: seen on a branch, which is given back."""

from __future__ import annotations

from typing import Any

from tests.bad_input.case import ENV_PY, RUN, Case, revision
from tests.bad_input.settings import toml


def case(name: str, text: str, says: str, *, code: int = 3, args: tuple[str, ...] = (), **more: Any) -> Case:
    """An env.py with these lines before the sound ones."""
    return Case(
        name=name, code=code, args=(*RUN, *args), files={"migrations/env.py": text + "\n" + ENV_PY}, says=says, **more
    )


def url(name: str, text: str, says: str, **more: Any) -> Case:
    """An env.py that uses a URL of its own."""
    return Case(
        name=name,
        code=3,
        files={"migrations/env.py": ENV_PY.replace('os.environ["DATABASE_URL"]', repr(text))},
        says=says,
        **more,
    )


def upgrade(name: str, body: str, says: str, *, args: tuple[str, ...] = (), **more: Any) -> Case:
    """A revision whose upgrade does this: a finding."""
    return Case(
        name=name,
        code=1,
        args=(*RUN, *args),
        files={"migrations/versions/r1.py": revision("r1", None, body)},
        says=says,
        **more,
    )


FAST = ("--visit-timeout", "1s")

CASES = (
    case(
        "env.py that raises",
        'raise ValueError("the\\nanswer \\x1b[31m is 42")',
        r"the project does not load: ValueError: the answer",
    ),
    case("env.py with a syntax error", "def (:", r"the project does not load: SyntaxError", slow=True),
    case("env.py that imports what is not there", "import no_such_module", r"no_such_module", slow=True),
    case("env.py that loops for ever", "while True: pass", r"took longer than 1 s", args=FAST),
    case(
        "env.py that ignores signals and sleeps",
        "import signal as s, time\n[s.signal(n, s.SIG_IGN) for n in range(1, 32) if n - 9 and n - 19]\ntime.sleep(99)",
        r"took longer than 1 s",
        args=FAST,
        slow=True,
    ),
    case(
        "env.py that forks for ever",
        "import os, time\nif os.fork() == 0:\n    os.setsid(); time.sleep(600)",
        r"passed: 1 revision",
        code=0,
        slow=True,
    ),
    case(
        "env.py that prints what is no text",
        "import os\nos.write(1, bytes(range(256)) * 4000); os.write(2, b'\\xff' * 100000)",
        r"passed: 1 revision",
        code=0,
        args=("-v",),
        slow=True,
    ),
    case(
        "env.py that closes all files",
        "import os\nos.closerange(0, 256)",
        r"the project wrote on neontest's own channel|ended",
    ),
    case("env.py that ends by sys.exit", "import sys\nsys.exit('not today')", r"not today", slow=True),
    case("env.py that ends by exit(0)", "exit()", r"exit", slow=True),
    case("env.py that ends by os._exit", "import os\nos._exit(7)", r"exit code 7|status 7", slow=True),
    case("env.py that kills itself", "import os\nos.kill(os.getpid(), 9)", r"SIGKILL", slow=True),
    case("env.py that kills its process group", "import os\nos.killpg(0, 9)", r"SIGKILL"),
    case(
        "env.py that kills its parent",
        "import os\nos.kill(os.getppid(), 9)\n__import__('time').sleep(600)",
        r"killed by SIGKILL",
        slow=True,
    ),
    case("env.py that recurses", "def f(): f()\nf()", r"RecursionError", slow=True),
    case("env.py without memory", "raise MemoryError", r"MemoryError", slow=True),
    case("env.py that raises what is no Exception", "raise KeyboardInterrupt", r"KeyboardInterrupt", slow=True),
    case(
        "env.py that deletes its folder",
        "import os, shutil\nshutil.rmtree(os.getcwd())",
        r"the upgrade of revision r1 fails",
        code=1,
        slow=True,
    ),
    case("env.py that changes its folder", "import os\nos.chdir('/')", r"passed: 1 revision", code=0, slow=True),
    case("env.py that empties the environment", "import os\nos.environ.clear()", r"KeyError", slow=True),
    case(
        "env.py that writes on our channel",
        'import os\nfor n in range(3, 64):\n    try: os.write(n, b\'[{"is": "done"}]\\n\')\n    except OSError: pass',
        r"said that it was done, and had not begun",
        slow=True,
    ),
    Case(
        name="an env.py that is empty", code=1, files={"migrations/env.py": ""}, says=r"the version table did not move"
    ),
    Case(
        name="an env.py that is binary",
        code=3,
        files={"migrations/env.py": bytes(range(256))},
        says=r"the project does not load",
        slow=True,
    ),
    Case(
        name="an env.py that is not UTF-8",
        code=3,
        files={"migrations/env.py": "x = 'caf\xe9'\n".encode("latin-1") + ENV_PY.encode()},
        says=r"the project does not load",
        slow=True,
    ),
    url("a URL whose driver is not there", "postgresql+no_such_driver://u:p@h/d", r"no_such_driver", slow=True),
    url("a URL of an unknown dialect", "nosuchsql://u:p@h/d", r"nosuchsql", slow=True),
    url("a URL that is none", "100%/%(x)s", r"Could not parse", slow=True),
    url("a URL that is empty", "", r"Could not parse", slow=True),
    url("a URL with a bad port", "postgresql://u:p@h:port/d", r"port", slow=True),
    url(
        "a URL of another server",
        "postgresql+psycopg2://u:p@127.0.0.1:9/d",
        r"the project does not load: OperationalError: .*127.0.0.1.*refused",
        slow=True,
    ),
    upgrade("an upgrade that loops for ever", "while True: pass", r"took longer than 1 s", args=FAST, slow=True),
    upgrade("an upgrade that ends the process", "__import__('os')._exit(0)", r"exit code 0|ended", slow=True),
    upgrade(
        "an upgrade that raises what cannot be told",
        "raise type('E', (Exception,), {'__str__': lambda self: 1 / 0})()",
        r"the upgrade of revision r1 fails",
        slow=True,
    ),
    Case(
        name="no upgrade function",
        code=1,
        files={"migrations/versions/r1.py": 'revision = "r1"\ndown_revision = None\n'},
        says=r"the upgrade of revision r1 fails",
        slow=True,
    ),
    Case(
        name="a dependency in a circle",
        code=1,
        files={
            "migrations/versions/r1.py": revision("r1", None).replace(
                "down_revision = None", "down_revision = None\ndepends_on = 'r3'"
            ),
            "migrations/versions/r2.py": revision("r2", "r1"),
            "migrations/versions/r3.py": revision("r3", "r2"),
        },
        says=r"circle",
    ),
    Case(
        name="a chain of 400 dependencies",
        code=0,
        args=(*RUN, "--from-revision", "heads"),
        files={
            f"migrations/versions/r{n}.py": revision(f"r{n}", None if n % 2 else f"r{n - 1}")
            + (f"depends_on = 'r{n - 1}'\n" if n % 2 and n > 1 else "")
            for n in range(1, 401)
        }
        | dict(toml('heads = "many"')),
        says=r"nothing to test",
    ),
    Case(
        name="a test command that there is not",
        args=("run", "--local", "--mode", "whole", "--rows", "0", "--", "no-such-command"),
        says=r"the test command cannot be started",
        slow=True,
    ),
    Case(
        name="a seed that is not there",
        args=(*RUN, "--seed", "nope.sql"),
        says=r"--seed: .*nope.sql cannot be read",
        slow=True,
    ),
    Case(
        name="a seed that is no SQL",
        args=(*RUN, "--seed", "s.sql"),
        files={"s.sql": "SELECT FROM WHERE"},
        says=r"--seed: s.sql: syntax error",
        code=3,
        slow=True,
    ),
    Case(
        name="a seed that is binary",
        args=(*RUN, "--seed", "s.sql"),
        files={"s.sql": bytes(range(256))},
        says=r"s.sql is not UTF-8",
        slow=True,
    ),
    Case(
        name="a prepare command that fails",
        args=(*RUN, "--prepare", "false"),
        says=r"--prepare exited with 1",
        code=3,
        slow=True,
    ),
    Case(name="a database that is not there", args=(*RUN, "--database", "nope"), says=r"nope", slow=True),
    Case(
        name="a parent that is not there", args=(*RUN, "--parent", "nope"), says=r"there is no branch nope", slow=True
    ),
)
