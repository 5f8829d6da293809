"""`train-model`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from core import cli
from core.errors import EXIT_CODES

# torch reads it when it is imported. Threads that spin at barriers starve one another where cores are shared.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_TRAIN_HELP = (
    "Train P-WAE on good pictures alone, set its thresholds on good pictures kept aside, and write a checkpoint.\n\n"
    "CONFIG is a YAML file; configs/ has one to start from. Data is a folder in MVTec layout (train/good, test/<kind>, "
    "ground_truth/<kind>) or a plain folder of good pictures.\n\n" + EXIT_CODES
)


_train = cli.app(_TRAIN_HELP)


@_train.command("train", help=_TRAIN_HELP)
def _train_command(
    config: Annotated[Path, typer.Argument(help="Training configuration (YAML).")],
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last finished epoch of this output.")
    ] = False,
) -> None:
    from core.config import load_settings
    from training.settings import TrainingSettings

    settings = load_settings(config, TrainingSettings)
    from training.session import train

    path = train(settings, resume)
    if not path.exists():  # a process that helped the first one, which alone writes
        return
    typer.echo(f"checkpoint: {path}")
    typer.echo(f"next: export-engine {path} --output {settings.name}.bundle --parity-data {settings.data}")


def train_model() -> None:
    """Entry point of `train-model`."""
    cli.run(_train)
