"""`train-model`."""

import shlex
from contextlib import redirect_stderr
from io import BytesIO, StringIO
from pathlib import Path
from typing import Annotated

import typer

from core import cli

_TRAIN_HELP = (
    "Train P-WAE on good pictures alone, set its thresholds by good pictures, each judged by a decoder that has not "
    "seen it, and write a checkpoint.\n\n"
    "CONFIG is a YAML file; `train-model init DATA...` writes one. Data is a folder in MVTec layout (train/good, "
    "test/<kind>, ground_truth/<kind>) or a plain folder of good pictures."
)
_INIT_HELP = (
    "Look at the pictures and write a configuration with the few settings that they require, and the reasons.\n\n"
    "Finds parts that may be turned straight (a sheet of them lies next to the file), a shape for the input, too few "
    "pictures, 12 bits in 16, brightness that drifts, duplicates and unreadable files."
)

_train = cli.app(_TRAIN_HELP)


@_train.command("train", help=_TRAIN_HELP)
def _train_command(
    config: Annotated[Path, typer.Argument(help="Training configuration (YAML).")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on where this output was interrupted.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Begin again where a checkpoint or an interrupted training stands.")
    ] = False,
) -> None:
    from core.datasets.dataset import folders, names
    from core.datasets.layout import require_apart
    from core.files import alone
    from training.fitting.resume_point import require_nothing_kept, resume_points
    from training.settings import SUSPECTS_SHEET, TrainingSettings

    settings = cli.load(config, TrainingSettings)
    require_apart(Path(settings.output), folders(settings.data))
    from training.processes import local_rank, require_as_told

    require_as_told(settings.devices)
    # Of several processes that train together, those that help start when the first has begun.
    helps = local_rank() > 0
    from training.session import train  # asks for the rank too, and ends in a traceback where it is no number

    # Those that help the first one write into its folder, and what they could tell it has told.
    with redirect_stderr(StringIO()) if helps else alone(Path(settings.output)):
        if not (resume or replace or helps):
            require_nothing_kept(settings)
        try:
            path = train(settings, resume)
        except (KeyboardInterrupt, SystemExit):
            if resume_points(Path(settings.output)):
                typer.echo(f"to go on: {shlex.join(['train-model', str(config), '--resume'])}", err=True)
            raise
    if helps:  # the first one alone writes
        return
    typer.echo(f"checkpoint: {path}")
    again = shlex.join(["train-model", str(config), "--replace"])
    sheet = path.with_name(SUSPECTS_SHEET)
    typer.echo(f"look at: {sheet}, is there a bad part among the good ones? Then remove it, and: {again}")
    typer.echo(f"next: {shlex.join(['evaluate-model', str(path), *names(settings.data)])}")


@_train.command("init", help=_INIT_HELP)
def _init_command(
    data: Annotated[
        list[str], typer.Argument(metavar="DATA...", help=f"Pictures of good parts: folders, {cli.CELLS}.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(metavar="CONFIG.yaml", help="File to write; left out: the first folder's name, here."),
    ] = None,
    roi: Annotated[
        tuple[int, int, int, int] | None,
        typer.Option(metavar="LEFT TOP WIDTH HEIGHT", help="Region of the pictures, in pixels, that shows the part."),
    ] = None,
    bits: Annotated[
        int | None,
        typer.Option(min=8, max=16, help="Bits that the camera gives, in files of 16 bits: 12 for 12 bits in 16."),
    ] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="The form for small boxes: half of the recipe's time on the line.")
    ] = False,
) -> None:
    from core.files import write_whole
    from training.looking.advice import advise
    from training.looking.outputs import places
    from training.looking.survey import survey

    name, config, sheet = places(data, output, fast, roi is not None)
    found = survey(data, roi, bits)
    advice = advise(found, fast)
    cut_outs = BytesIO()
    if advice.pose is not None:
        from training.looking.cut_outs import draw_cut_outs

        draw_cut_outs(found.good, advice.pose, roi, found.bits).savefig(cut_outs, dpi=110)
    if cut_outs.getvalue():
        write_whole(sheet, cut_outs.getvalue())
    write_whole(config, advice.as_yaml(name, data[0] if len(data) == 1 else data).encode())
    for line in advice.attention:
        typer.echo(line)
    typer.echo(f"written: {config}, with the reasons in it; read them")
    if cut_outs.getvalue():
        typer.echo(f"look at: {sheet}, is each part cut out whole, and do all lie alike?")
    typer.echo(f"next: {shlex.join(['train-model', str(config)])}")


def train_model() -> None:
    """Entry point of `train-model`."""
    cli.run(_train)
