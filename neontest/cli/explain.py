"""`neontest explain`: what a check proves, what it cannot see, what to do."""

from __future__ import annotations

import click


@click.command()
@click.argument("check", required=False)
def command(check: str | None) -> None:
    """Explain a check; without one, list them all."""
    from neontest import checks

    every = {each.id: each for each in checks.every()}
    if check is None:
        width = max(map(len, every))
        for each in every.values():
            click.echo(f"{each.id:<{width}}  {each.title}")
        return
    if check not in every:
        import difflib

        near = difflib.get_close_matches(check, every, n=1)
        meant = f'did you mean "{near[0]}"?' if near else "`neontest explain` lists them"
        raise click.UsageError(f'there is no check "{check}"; {meant}')
    click.echo(f"{check}: {every[check].title}\n\n{checks.explanation(every[check]).strip()}")
