"""`neontest report`: a saved report, told again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from neontest import renderers
from neontest.cli import files, options


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(renderers.formats()),
    default="console",
    show_default=True,
    help="How to tell it.",
)
@click.option("--output", "target", metavar="FILE", default="-", help="Where to write it.  [default: stdout]")
@options.root_option
@options.redact_option
@click.pass_context
def command(ctx: click.Context, /, file: Path, form: str, target: str, root: Path, **_: Any) -> int:
    """Render a report again that `neontest run --json FILE` saved."""
    from neontest import literals
    from neontest.cli import progress
    from neontest.cli.run import COULD_NOT_TELL, colors
    from neontest.report import read

    files.writable("--output", target)
    shown = target == "-"
    settings = options.settings(ctx, engine="local", runs=False)
    text = renderers.rendered(
        literals.for_oneself(read(file), settings.redact),
        form,
        width=progress.terminal_width() if shown else progress.WIDTH_OF_A_LOG,
        color=shown and colors(),
        folder=files.folder(root),
    )
    return 0 if files.put(target, text) else COULD_NOT_TELL
