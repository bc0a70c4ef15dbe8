"""`neontest config`: each setting, and where it came from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from neontest.cli import options
from neontest.errors import one_line

if TYPE_CHECKING:
    from neontest.settings import Settings

UNSET: Final = {"rows": "20 on the local engine, none on Neon", "redact": "literals in what GitHub is told"}
"""What it means that a setting has no value of its own."""
KEYS: Final = {"from_url": "from"}
"""Settings whose key is no name in Python."""


@click.command()
@options.run_options
@click.pass_context
def command(ctx: click.Context, /, **_: Any) -> None:
    """Print each setting of `neontest run` here, and where it came from."""
    for settings in options.projects(ctx):
        if settings.name is not None:
            click.echo(f"== {settings.name} ==")
        show(settings)


def show(settings: Settings) -> None:
    for each in dataclasses.fields(settings):
        if each.name in ("root", "top", "sources", "engine_why", "put_aside"):
            continue
        value = getattr(settings, each.name)
        if each.name in ("api_key", "from_url"):
            value = "(set)" if value else None
        source = settings.engine_why if each.name == "engine" else settings.sources.get(each.name, "default")
        told = UNSET.get(each.name, "-") if value is None else shown(value)
        click.echo(f"{KEYS.get(each.name, each.name.replace('_', '-')):<18} {told}  ({source})")


def shown(value: Any) -> str:
    """A value on one line, as a person would say it."""
    from neontest.settings import Accept, Commands

    match value:
        case Mapping():
            return ", ".join(f"{name} = {shown(each)}" for name, each in value.items()) or "-"
        case tuple():
            separator = "; " if any(isinstance(each, Accept) for each in value) else " "
            return separator.join(map(shown, value)) or "-"
        case Accept():
            of = f" of {value.revision}" if value.revision else ""
            until = f" until {value.until}" if value.until else ""
            return one_line(f"{value.check}{of}{until}: {value.reason}")
        case Commands():
            return f"upgrade = {shown(value.upgrade)}, downgrade = {shown(value.downgrade)}"
        case bool():
            return "yes" if value else "no"
        case _:
            return one_line(str(value))
