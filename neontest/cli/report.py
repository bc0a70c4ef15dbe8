"""`neontest report`: a saved report, told again."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--format", "form", type=click.Choice(["console", "markdown", "json"]), default="console", show_default=True
)
def command(file: Path, form: str) -> None:
    """Render a report again that `neontest run --json FILE` saved."""
    from neontest.cli.progress import terminal_width
    from neontest.cli.run import colors
    from neontest.renderers import console, markdown
    from neontest.report import from_json, to_json

    report = from_json(file.read_bytes())
    if form == "console":
        click.echo(console.render(report, width=terminal_width(), color=colors()), nl=False, color=True)
    else:
        click.echo(markdown.render(report) if form == "markdown" else to_json(report), nl=False)
