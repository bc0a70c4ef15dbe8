"""Options that several commands share, and the way from a click context to Settings."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from neontest.settings import Settings, Source

F = TypeVar("F", bound=Callable[..., Any])

Option = Callable[[F], F]


def option(*names: str, env: str | None = None, **attributes: Any) -> Callable[[F], F]:
    """A click option with its environment variable named in the help: NEONTEST_ and its name, unless given."""
    long = next(each for each in names if each.startswith("--")).split("/")[0]
    return click.option(
        *names, envvar=env or "NEONTEST_" + long.strip("-").replace("-", "_").upper(), show_envvar=True, **attributes
    )


def both(*options: Any) -> Callable[[F], F]:
    """One decorator of several, in the order in which they are written."""

    def decorate(function: F) -> F:
        for each in reversed(options):
            function = each(function)
        return function

    return decorate


def rows(ctx: click.Context, parameter: click.Parameter, given: int | None) -> int | None:
    """As many as the configuration takes, which `--help` need not load."""
    from neontest.settings import MOST_ROWS

    return None if given is None else click.IntRange(0, MOST_ROWS).convert(given, parameter, ctx)


root_option: Final = click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="The project's folder.  [default: this one]",
)

neon_options: Final = both(
    option("--project-id", env="NEON_PROJECT_ID", help="The Neon project."),
    option("--api-host", env="NEON_API_HOST", help="The Neon API.  [default: https://console.neon.tech/api/v2]"),
    option("--ledger", help="Folder where leased branches are written down.  [default: in the user's state folder]"),
)

postgres_options: Final = both(
    option("--postgres", metavar="BINDIR", help="Folder with the Postgres binaries of the local engine."),
    option("--postgres-version", type=int, metavar="MAJOR", help="Major version the local engine shall use."),
    option("--state", metavar="DIR", help="Folder of the local engine."),
)

engine_options: Final = both(
    click.option("--neon", "engine", flag_value="neon", default=None, help="Use Neon, or fail."),
    click.option("--local", "engine", flag_value="local", help="Use the local engine, even with an API key."),
)

branch_options: Final = both(
    option("--parent", metavar="BRANCH", help="Name or id of the branch to copy.  [default: the project's default]"),
    option("--database", help="The database to test.  [default: the only one, else neondb]"),
    option("--role", help="The role to connect as.  [default: the only one, else neondb_owner]"),
)

source_options: Final = both(
    option("--schema-only", is_flag=True, default=None, help="Branches with the parent's schema, and no rows."),
    option("--anonymize", metavar="FILE", help="Branches with columns masked, by the rules in a TOML or JSON file."),
    option("--parent-time", metavar="TIME", help="Neon: branches of the parent at that moment (RFC 3339)."),
    option("--parent-lsn", metavar="LSN", help="Neon: branches of the parent at that place of its history."),
)

project_options: Final = both(
    option("--alembic-config", metavar="FILE", help="The alembic.ini, pyproject.toml or migrations folder."),
    option("--alembic-name", "-n", metavar="NAME", help="Section of the ini file.  [default: alembic]"),
    option("--python", metavar="FILE", help="The project's interpreter.  [default: VIRTUAL_ENV, .venv, this one]"),
    option("-x", "--x", multiple=True, metavar="NAME=VALUE", help="As `alembic -x`: arguments for env.py."),
)

walk_options: Final = both(
    option(
        "--mode",
        type=click.Choice(["whole", "stairway", "both"]),
        help="Walk all pending revisions at once, one by one, or both.  [default: both]",
    ),
    option("--heads", type=click.Choice(["one", "many"]), help="Are several heads meant?  [default: one]"),
    option("--isolate", is_flag=True, default=None, help="One run of env.py for each step of the stairway."),
    option(
        "--other-databases",
        type=click.Choice(["refuse", "allow"]),
        help="May migrations use another Postgres than the branch?  [default: refuse]",
    ),
    option("--from-revision", metavar="REV", help="Local: where the parent starts; `base` is empty."),
    option("--from", "from_url", metavar="URL|env:NAME", help="Local: fill the parent from this Postgres first."),
    option("--from-limit", metavar="SIZE", help="Most bytes of rows to copy from there.  [default: 1GB]"),
    option("--tables", multiple=True, metavar="PATTERN", help="Tables whose rows are copied.  [default: all]"),
    option(
        "--base",
        metavar="REF",
        help="Base branch: its revisions do not gate; local parents start at its head.  [default: GITHUB_BASE_REF]",
    ),
    option("--prepare", metavar="SQL|COMMAND", help="Local: a .sql file or command for the empty parent."),
    option("--seed", metavar="SQL|COMMAND", help="Local: a .sql file or command that fills the parent."),
    option(
        "--reuse-parent/--no-reuse-parent",
        default=None,
        help="Local: begin with an earlier run's parent, made of the same.  [default: yes, but in CI]",
    ),
)

evidence_options: Final = both(
    option(
        "--rows", type=int, callback=rows, metavar="N",
        help="Rows to invent for each empty table.  [default: 20 on the local engine, 0 on Neon]",
    ),
    option(
        "--data",
        type=click.Choice(["full", "touched", "sample", "off"]),
        help="Which tables' rows are compared, and how.  [default: touched]",
    ),
    option("--data-timeout", metavar="TIME", help="Limit of all reading of rows.  [default: 60s]"),
    option("--lock-budget", metavar="TIME", help="How long a lock may block others.  [default: 1s]"),
    option(
        "--small-table", type=click.IntRange(min=0), metavar="ROWS",
        help="Smaller tables pass all lock checks.  [default: 10000]",
    ),
    option("--slow-migration", metavar="TIME", help="Limit of one revision's upgrade.  [default: 3m]"),
    option("--slow-statement", metavar="TIME", help="Limit of one statement.  [default: 30s]"),
    option(
        "--many-locks", type=click.IntRange(min=0), metavar="N",
        help="Tables that one transaction may lock.  [default: 5]",
    ),
    option("--lint/--no-lint", default=None, help="Have squawk read the statements.  [default: if it is installed]"),
    option("--interrupt", is_flag=True, default=None, help="Cancel upgrades in the middle, and run them again."),
    option("--deterministic", is_flag=True, default=None, help="Upgrade two branches in different surroundings."),
)  # fmt: skip

grid_options: Final = both(
    option("--grid/--no-grid", default=None, help="Run old and new code on the old and the new schema.  [default: no]"),
    option("--bisect", is_flag=True, default=None, help="Grid: find the revision that breaks the old code."),
    option("--old-python", metavar="COMMAND", help="Grid: says, on its last line, the old code's interpreter."),
)

limit_options: Final = both(
    option("--timeout", metavar="TIME", help="Limit of the whole run.  [default: 30m]"),
    option("--wait", metavar="TIME", help="How long to wait for a free branch at the project's limit.  [default: 0]"),
    option(
        "--parallel",
        type=click.IntRange(min=1),
        metavar="N",
        help="Branches that work goes on on at once.  [default: one for each processor, up to 2]",
    ),
    option("--visit-timeout", metavar="TIME", help="Limit of one upgrade or downgrade.  [default: 10m]"),
    option("--test-timeout", metavar="TIME", help="Limit of the project's tests.  [default: 20m]"),
    option(
        "--fail-on",
        type=click.Choice(["error", "warning", "never"]),
        help="The level of findings that fails the run.  [default: error]",
    ),
    option(
        "--gate",
        type=click.Choice(["new", "all"]),
        help="Which revisions' findings fail the run: those new since --base, or all.  [default: new]",
    ),
)

github_options: Final = both(
    option("--github", type=click.Choice(["on", "off"]), help="Tell GitHub, inside of a job there.  [default: on]"),
    option(
        "--comment",
        metavar="NAME|off",
        help="Name of this configuration: each has a comment of its own.  [default: by the alembic config]",
    ),
)

redact_option: Final = option(
    "--redact",
    type=click.Choice(["none", "literals"]),
    help="Leave literals of SQL, keys of rows and the tests' output out of reports.  [default: of what GitHub is told]",
)

only_option: Final = option(
    "--only", multiple=True, metavar="NAME", help="Of the projects in pyproject.toml, this one; may be given again."
)

run_options: Final = both(
    engine_options,
    root_option,
    neon_options,
    branch_options,
    source_options,
    walk_options,
    project_options,
    evidence_options,
    grid_options,
    limit_options,
    postgres_options,
    github_options,
    redact_option,
    only_option,
)
"""What settles a run, besides what only its command line can say."""


def settings(ctx: click.Context, *, runs: bool = True, **more: Any) -> Settings:
    """The settled settings of a command that is about one project, or about none; `runs`: it tests migrations."""
    from neontest import several
    from neontest.config import settle

    given = asked(ctx, **more)
    if "only" not in ctx.params:
        return settle(*given, runs=runs)
    found = several.settled(*given, only=ctx.params["only"], runs=runs)
    if len(found) > 1:
        names = ", ".join(str(each.name) for each in found)
        raise click.UsageError(f"there are several projects in pyproject.toml: say which with --only ({names})")
    return found[0]


def projects(ctx: click.Context, *, runs: bool = True, **more: Any) -> tuple[Settings, ...]:
    """The settled settings of each project that is asked for."""
    from neontest import several

    return several.settled(*asked(ctx, **more), only=ctx.params.get("only", ()), runs=runs)


def asked(ctx: click.Context, **more: Any) -> tuple[dict[str, Any], dict[str, Source], Mapping[str, str], Path]:
    """What the command line and the environment say, which of the two said it, the environment, and the folder."""
    flags = {**ctx.params, **more}
    sources: dict[str, Source] = {
        name: "environment" if ctx.get_parameter_source(name) is ParameterSource.ENVIRONMENT else "flag"
        for name in ctx.params
    }
    if "no_tests" in sources:
        sources["run_tests"] = sources["no_tests"]
    engine = flags.get("engine") or os.environ.get("NEONTEST_ENGINE") or None
    if engine not in (None, "neon", "local"):
        raise click.UsageError(f'NEONTEST_ENGINE is "{engine}"; it must be neon or local')
    if flags.get("engine") is None:
        sources["engine"] = "environment"
    return {**flags, "engine": engine}, sources, os.environ, Path(flags.get("root") or Path()).resolve()
