"""Settings that cannot be meant: in pyproject.toml, in the environment, as flags."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.bad_input.case import RUN, Case, Place

CONFIG = ("config",)
NEON = {"NEON_API_KEY": "napi_x", "NEON_PROJECT_ID": "quiet-lake-1", "NEON_API_HOST": "http://127.0.0.1:9/api/v2"}
"""As on Neon, where nobody listens."""


def toml(text: str) -> Mapping[str, str]:
    return {"pyproject.toml": "[tool.neontest]\n" + text}


def folder(name: str) -> Callable[[Place], None]:
    def make(place: Place) -> None:
        (place.root / name).mkdir()

    return make


def linked(name: str, target: str) -> Callable[[Place], None]:
    def make(place: Place) -> None:
        (place.root / name).unlink(missing_ok=True)
        (place.root / name).symlink_to(target)

    return make


CASES = (
    Case(
        name="a key that is almost right",
        args=CONFIG,
        files=toml('project_id = "x"'),
        says=r'has no key "project_id"',
    ),
    Case(name="a key that is nothing like any", args=CONFIG, files=toml("zzzzzz = 1"), says=r'has no key "zzzzzz"'),
    Case(
        name="a key of several lines",
        args=CONFIG,
        files=toml('"a\\nb\\u001b[31m" = 1'),
        says=r'has no key "a b',
    ),
    Case(name="a text for a number", args=CONFIG, files=toml('rows = "many"'), says=r"rows"),
    Case(name="a negative number of rows in the file", args=CONFIG, files=toml("rows = -5"), says=r"rows"),
    Case(
        name="a number of rows beyond all measure", args=CONFIG, files=toml("rows = 99999999999999999999"), says=r"rows"
    ),
    Case(name="a negative size of a small table", args=CONFIG, files=toml("small-table = -1"), says=r"small-table"),
    Case(name="no lock at all", args=CONFIG, files=toml("many-locks = -1"), says=r"many-locks"),
    Case(
        name="a negative duration", args=CONFIG, files=toml("timeout = -5"), says=r'timeout: "-5.0?" is not a duration'
    ),
    Case(
        name="an infinite duration",
        args=CONFIG,
        files=toml("timeout = inf"),
        says=r'timeout: "inf" is not a duration',
        slow=True,
    ),
    Case(
        name="a duration that is no number",
        args=CONFIG,
        files=toml("timeout = nan"),
        says=r'timeout: "nan" is not',
        slow=True,
    ),
    Case(
        name="a duration beyond all measure",
        args=(*RUN, "--timeout", "9" * 400),
        says=r"timeout: 9+ is longer than 30 days",
    ),
    Case(
        name="a duration of a million years",
        args=(*RUN, "--timeout", "9999999999h"),
        says=r"timeout: 9+h is longer than 30 days",
    ),
    Case(name="a flag of another language's digits", args=(*RUN, "--timeout", "١٢"), says=r"timeout: "),
    Case(name="an empty duration", args=CONFIG, files=toml('timeout = ""'), says=r"timeout is empty"),
    Case(name="true for a duration", args=CONFIG, files=toml("timeout = true"), says=r"timeout"),
    Case(name="an empty python", args=CONFIG, files=toml('python = ""'), says=r"python is empty"),
    Case(
        name="an empty alembic-config", args=CONFIG, files=toml('alembic-config = ""'), says=r"alembic-config is empty"
    ),
    Case(name="an empty base", args=RUN, files=toml('base = ""'), says=r"base is empty"),
    Case(name="an empty from-revision", args=RUN, files=toml('from-revision = ""'), says=r"from-revision is empty"),
    Case(
        name="an empty list of tests",
        args=("run", "--local", "--mode", "whole"),
        files=toml("tests = []"),
        says=r"tests is empty",
    ),
    Case(
        name="an empty test command",
        args=("run", "--local", "--mode", "whole"),
        files=toml('tests = ""'),
        says=r"tests is empty",
    ),
    Case(
        name="a test command with an open quote",
        args=("run", "--local", "--mode", "whole"),
        files=toml("tests = '''pytest \"x'''"),
        says=r"cannot be split into words: no closing quotation",
    ),
    Case(name="tests = true", args=CONFIG, files=toml("tests = true"), says=r"tests"),
    Case(name="a null byte in a setting", args=RUN, files=toml('python = "a\\u0000b"'), says=r"holds a null byte"),
    Case(
        name="a null byte in the environment's templates",
        args=RUN,
        files=toml('env = { X = "a\\u0000b" }'),
        says=r"holds a null byte",
    ),
    Case(
        name="a variable's name with =",
        args=RUN,
        files=toml('env = { "X=Y" = "a" }'),
        says=r"'X=Y' cannot be the name of a variable",
    ),
    Case(
        name="an empty variable's name",
        args=RUN,
        files=toml('env = { "" = "a" }'),
        says=r"'' cannot be the name of a variable",
    ),
    Case(name="x that is no list", args=CONFIG, files=toml('x = "a=b"'), says=r"x", slow=True),
    Case(name="pyproject.toml that is not TOML", args=CONFIG, files=toml("timeout ="), says=r"pyproject.toml.*"),
    Case(
        name="pyproject.toml with the key twice",
        args=CONFIG,
        files=toml("rows = 1\nrows = 2"),
        says=r"pyproject.toml.*",
    ),
    Case(
        name="pyproject.toml in UTF-16",
        args=CONFIG,
        files={"pyproject.toml": "[tool.neontest]".encode("utf-16")},
        says=r"is not UTF-8",
    ),
    Case(name="pyproject.toml in Latin-1", args=CONFIG, files={"pyproject.toml": b"# caf\xe9\n"}, says=r"is not UTF-8"),
    Case(
        name="pyproject.toml with a byte order mark",
        args=CONFIG,
        files={"pyproject.toml": b"\xef\xbb\xbf[tool.neontest]\nrows = -1\n"},
        says=r"rows",
    ),
    Case(
        name="pyproject.toml that is a folder",
        args=CONFIG,
        make=folder("pyproject.toml"),
        says=r"pyproject.toml cannot be read",
    ),
    Case(
        name="pyproject.toml that is a circle of links",
        args=CONFIG,
        make=linked("pyproject.toml", "pyproject.toml"),
        says=r"pyproject.toml cannot be read",
    ),
    Case(
        name="pyproject.toml nested 100,000 deep",
        args=CONFIG,
        files={"pyproject.toml": "a = " + "[" * 100_000},
        says=r"pyproject.toml cannot be read: it is nested too deeply",
    ),
    Case(
        name="pyproject.toml whose tool is a number",
        args=CONFIG,
        files={"pyproject.toml": "tool = 1"},
        says=r"tool must be a table",
    ),
    Case(
        name="pyproject.toml whose [tool.neontest] is a list",
        args=CONFIG,
        files={"pyproject.toml": "[[tool.neontest]]\nrows = 1"},
        says=r"\[tool.neontest\] must be a table",
    ),
    Case(
        name="a check that there is not",
        args=RUN,
        files=toml('levels = { ireversible = "off" }'),
        says=r'there is no check "ireversible"',
    ),
    Case(
        name="commands that go nowhere",
        args=CONFIG,
        files=toml('commands = { upgrade = "x", downgrade = "y" }'),
        says=r"upgrade has no \{revision\}",
    ),
    Case(
        name="an empty command",
        args=CONFIG,
        files=toml('commands = { upgrade = [], downgrade = "y {revision}" }'),
        says=r"the command for upgrade is empty",
    ),
    Case(
        name="a command that there is not",
        args=RUN,
        files=toml('commands = { upgrade = "no-such-cmd {revision}", downgrade = "no-such-cmd {revision}" }'),
        says=r"no-such-cmd does not start",
    ),
    Case(
        name="a command with an open quote",
        args=RUN,
        files=toml('commands = { upgrade = "\'x {revision}", downgrade = "x {revision}" }'),
        says=r"cannot be split into words: no closing quotation",
    ),
    Case(
        name="NEONTEST_ENGINE of another name",
        args=RUN[:1],
        env={"NEONTEST_ENGINE": "mysql"},
        says=r'NEONTEST_ENGINE is "mysql"',
    ),
    Case(
        name="NEONTEST_TIMEOUT without a number",
        args=RUN,
        env={"NEONTEST_TIMEOUT": "soon"},
        says=r'timeout: "soon" is not',
    ),
    Case(
        name="NEONTEST_ROWS without a number", args=("run", "--local"), env={"NEONTEST_ROWS": "x"}, says=r"x", slow=True
    ),
    Case(name="NEONTEST_LINT that is neither", args=RUN, env={"NEONTEST_LINT": "perhaps"}, says=r"perhaps"),
    Case(
        name="NEONTEST_MODE of another name",
        args=("run", "--local"),
        env={"NEONTEST_MODE": "sideways"},
        says=r"sideways",
        slow=True,
    ),
    Case(
        name="NEONTEST_TIMEOUT that is no text", args=RUN, env={"NEONTEST_TIMEOUT": "\udcff\x1b[2J"}, says=r"timeout: "
    ),
    Case(name="--no-tests and a test command", args=(*RUN, "--", "pytest"), says=r"contradict"),
    Case(name="--neon without a key", args=("run", "--neon"), says=r"NEON_API_KEY is not set", slow=True),
    Case(name="a seed on Neon", args=("run", "--seed", "x.sql"), env=NEON, says=r"--seed prepares"),
    Case(
        name="a project that is named nowhere",
        args=("run",),
        env={"NEON_API_KEY": "k"},
        says=r"no Neon project was named",
        slow=True,
    ),
    Case(
        name="a connection string in a file",
        args=CONFIG,
        files=toml('from = "postgresql://u:secret@h/d"'),
        says=r"from holds a connection string, which is no matter for a file",
    ),
    Case(name="a source in no variable", args=(*RUN, "--from", "env:NOWHERE"), says=r"variable NOWHERE is not set"),
    Case(name="a limit that is no size", args=(*RUN, "--from-limit", "much"), says=r'from-limit: "much" is not a size'),
    Case(name="an unknown option", args=("run", "--flux"), says=r"--flux"),
    Case(name="an unknown command", args=("rnu",), says=r"rnu", slow=True),
    Case(name="--root that is not there", args=("run", "--root", "nope"), says=r"nope"),
    Case(name="--root that is a file", args=("run", "--root", "alembic.ini"), says=r"alembic.ini", slow=True),
    Case(
        name="a check to explain that there is not", args=("explain", "NONSENSE"), says=r'there is no check "NONSENSE"'
    ),
    Case(name="a check to explain that is almost one", args=("explain", "data_loss"), says=r'did you mean "data-loss"'),
    # Neon
    Case(
        name="a key with a line break",
        args=("run",),
        env={**NEON, "NEON_API_KEY": "napi\nx"},
        says=r"the Neon API key holds a character",
    ),
    Case(
        name="a key with a space at its end",
        args=("run",),
        env={**NEON, "NEON_API_KEY": "napi "},
        says=r"the Neon API key holds a character",
    ),
    Case(
        name="a key that is not ASCII",
        args=("run",),
        env={**NEON, "NEON_API_KEY": "napi_ü"},
        says=r"the Neon API key holds a character",
    ),
    Case(
        name="a key that is no text",
        args=("run",),
        env={**NEON, "NEON_API_KEY": "napi\udcff"},
        says=r"the Neon API key holds a character",
    ),
    Case(
        name="an API host that is no URL",
        args=("run",),
        env={**NEON, "NEON_API_HOST": "nonsense"},
        says=r"the Neon API host is not an http",
    ),
    Case(
        name="an API host of another scheme",
        args=("run",),
        env={**NEON, "NEON_API_HOST": "ftp://x/y"},
        says=r"the Neon API host is not an http",
        slow=True,
    ),
    Case(
        name="an API host with a bad port",
        args=("run",),
        env={**NEON, "NEON_API_HOST": "http://x:99999/"},
        says=r"the Neon API host is not an http",
    ),
    Case(
        name="an API host with a space",
        args=("run",),
        env={**NEON, "NEON_API_HOST": "http://a b/"},
        says=r"the Neon API host is not an http",
        slow=True,
    ),
    Case(
        name="an API host with half an IPv6 address",
        args=("run",),
        env={**NEON, "NEON_API_HOST": "http://[::1/"},
        says=r"the Neon API host is not an http",
    ),
    Case(
        name="an API host without a host",
        args=("run",),
        env={**NEON, "NEON_API_HOST": "http://"},
        says=r"the Neon API host is not an http",
    ),
    Case(
        name="an API host where nobody listens", args=("run", "--timeout", "1s"), code=3, env=NEON, says=r"127.0.0.1:9"
    ),
    Case(
        name="a project id with a slash and a question mark",
        args=("run",),
        env={**NEON, "NEON_PROJECT_ID": "../../x?y#z"},
        says=r"is not an id of Neon's",
    ),
    Case(
        name="a project id of several lines",
        args=("run",),
        env={**NEON, "NEON_PROJECT_ID": "a\nb"},
        says=r"is not an id of Neon's",
    ),
    Case(
        name="sweep with a key of several lines",
        args=("sweep", "--dry-run"),
        env={**NEON, "NEON_API_KEY": "napi\nx"},
        says=r"the Neon API key holds a character",
    ),
    Case(
        name="branches with an API host that is no URL",
        args=("branches",),
        env={**NEON, "NEON_API_HOST": "nonsense"},
        says=r"the Neon API host is not an http",
    ),
)
