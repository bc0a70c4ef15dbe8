"""`neontest config`: each setting, and where it came from."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from neontest.cli import options


@click.command()
@options.run_options
@click.pass_context
def command(ctx: click.Context, /, **_: Any) -> None:
    """Print each setting of `neontest run` here, and where it came from."""
    settings = options.settings(ctx)
    for each in dataclasses.fields(settings):
        if each.name in ("root", "sources", "engine_why"):
            continue
        value = getattr(settings, each.name)
        if each.name == "api_key":
            value = "(set)" if value else None
        source = settings.engine_why if each.name == "engine" else settings.sources.get(each.name, "default")
        click.echo(f"{each.name.replace('_', '-'):<18} {'-' if value in (None, (), {}) else value}  ({source})")
