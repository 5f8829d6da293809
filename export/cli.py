"""`export-engine`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from core import cli
from core.errors import EXIT_CODES

# torch reads it when it is imported. Threads that spin at barriers starve one another where cores are shared.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

HELP = (
    "Export a checkpoint into a bundle for the edge, and prove that it judges real pictures as PyTorch does."
    "\n\nA bundle whose verdicts differ is refused (exit code 5) and kept beside --output as OUTPUT.refused.\n\n"
    + EXIT_CODES
)


_export = cli.app(HELP)


@_export.command(help=HELP)
def _export_command(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint written by train-model.")],
    output: Annotated[Path, typer.Option(help="Bundle folder to write; an older bundle there is replaced.")],
    parity_data: Annotated[
        str | None, typer.Option(help="Pictures to prove parity on; default: the data the checkpoint was trained on.")
    ] = None,
) -> None:
    from export.build import build_bundle

    bundle = build_bundle(checkpoint, output, parity_data)
    typer.echo(
        f"bundle: {output} ({bundle.model.stat().st_size / 1e6:.0f} MB, sha256 {bundle.manifest.model_sha256[:12]})"
    )
    typer.echo("next: run-inspection CONFIG, with `bundle: " + str(output) + "` in CONFIG")


def export_engine() -> None:
    """Entry point of `export-engine`."""
    cli.run(_export)
