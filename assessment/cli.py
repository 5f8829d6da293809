"""`evaluate-model`."""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from core import cli
from core.errors import ConfigError, about, shown

HELP = (
    "Judge labelled pictures with a checkpoint: AUROC, and what a factory gets at the calibrated thresholds.\n\n"
    f"DATA is a folder in MVTec layout, a plain folder of good pictures, {cli.CELLS}. A report for people, the "
    "measures and the score of each picture are written into --output."
)
PREDICT_HELP = (
    "Judge pictures, or folders of them, with a checkpoint or a bundle; a bundle needs no torch.\n\n"
    "A score above 1 is NotOK. A picture that cannot be read, or is black or over-exposed, is NotDecidable, "
    "and the others are judged."
)
THRESHOLD_HELP = (
    "Set the thresholds of a checkpoint or a bundle for another false-reject rate, without training.\n\n"
    "They come from the good parts of the training, each judged by a decoder that has not seen it. The file is "
    "altered; a bundle's signature is removed.\n\n"
    "With --data and pictures of known bad parts it says how many of them each rate would find."
)

_evaluate = cli.app(HELP)

_Model = Annotated[Path, typer.Argument(metavar="MODEL", help="Checkpoint file or bundle folder.")]


@_evaluate.command(help=HELP)
def report(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint written by train-model.")],
    data: Annotated[list[str], typer.Argument(metavar="DATA...", help=f"Labelled pictures: folders, {cli.CELLS}.")],
    output: Annotated[Path, typer.Option(help="Folder for what is written.")] = Path("evaluation"),
) -> None:
    """Evaluate."""
    from assessment.evaluation import evaluate
    from assessment.results import results_folder, save
    from assessment.summary import print_metrics
    from training.detector.checkpoint import load_checkpoint

    with results_folder(output, data):
        trained = load_checkpoint(checkpoint)
        evaluation = evaluate(trained, data)
        files = save(evaluation, output)
    print_metrics(evaluation.metrics)
    typer.echo(f"written: {output / files[0]}, {', '.join(files[1:])}")
    _tell_export(checkpoint, trained.settings.name)


def _tell_export(checkpoint: Path, name: str) -> None:
    from core.printable import plain_name

    bundle = f"{plain_name(name)}.bundle"
    typer.echo(f"next: {shlex.join(['export-engine', str(checkpoint), '--output', bundle])}")


@_evaluate.command(help=PREDICT_HELP)
def predict(
    model: _Model,
    pictures: Annotated[list[Path], typer.Argument(metavar="PICTURE...", help="Pictures, or folders of pictures.")],
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for a program.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="As CSV, for a spreadsheet.")] = False,
    overlays: Annotated[
        Path | None, typer.Option(metavar="DIR", help="New folder for the pictures with the error map over each.")
    ] = None,
) -> None:
    """Predict."""
    from assessment.prediction import predict as judged
    from assessment.score_table import write_csv

    if as_json and as_csv:
        raise ConfigError("--json and --csv exclude each other; give one of them.")
    predictions = judged(model, pictures, overlays)
    tiles = max((len(one.errors) for one in predictions), default=1) - 1
    rows = [one.row(max(tiles, 0)) for one in predictions]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    elif as_csv:
        write_csv(rows, sys.stdout)
    else:
        for one in predictions:
            said = about(one.file, one.reason) if one.reason else f"{one.score:.3f}  {one.file}"
            typer.echo(shown(f"{one.verdict:12} {said}"))


@_evaluate.command(help=THRESHOLD_HELP)
def set_threshold(
    model: _Model,
    false_reject_rate: Annotated[
        float | None, typer.Option(help="Share of good parts that may be rejected: 0.02 is 2 %; left out: none is set.")
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(help="Labelled pictures of known bad parts: what other rates would give on them; several times."),
    ] = None,
    believe_all: Annotated[
        bool | None,
        typer.Option(
            "--believe-all/--leave-out",
            help="Whether good parts set the thresholds that stand apart; neither given: as in the training, or since.",
        ),
    ] = None,
) -> None:
    """Recalibrate."""
    from rich.console import Console

    from assessment.recalibration import consequences, thresholds_table
    from assessment.recalibration import set_threshold as recalibrate
    from assessment.summary import print_what_if

    if false_reject_rate is not None and not 0 < false_reject_rate < 1:
        raise ConfigError(f"--false-reject-rate {false_reject_rate:g}: is not between 0 and 1; 0.02 is 2 %.")
    if data:
        found = consequences(model, data, believe_all)
        print_what_if(found.rows, found.defective)
        typer.echo(found.told)
    elif false_reject_rate is None:
        raise ConfigError("give --false-reject-rate to set it, --data DATA to see what other rates give, or both.")
    if false_reject_rate is None:
        return
    done = recalibrate(model, false_reject_rate, believe_all)
    Console().print(thresholds_table(done))
    typer.echo(f"written: {model}")
    if done.signature_removed:
        typer.echo("its signature was removed, because the bundle has changed: sign it again with export-engine sign")
    if done.site_thresholds:
        typer.echo(f"{done.site_thresholds}: cameras that were calibrated on site keep their own thresholds")
    if done.name is not None:
        _tell_export(model, done.name)
    else:
        typer.echo("next: run-inspection CONFIG, or where it runs the command `reload`")


@_evaluate.command()
def compare(
    one: Annotated[Path, typer.Argument(metavar="A", help="Checkpoint file or bundle folder.")],
    other: Annotated[Path, typer.Argument(metavar="B", help="Another.")],
    data: Annotated[
        list[str],
        typer.Option(help=f"Labelled pictures: a folder, {cli.CELLS}; may be given several times."),
    ],
    output: Annotated[Path, typer.Option(help="Folder for what is written.")] = Path("comparison"),
) -> None:
    """Judge the same pictures with two checkpoints or bundles: AUROC, misses, false rejects, differing verdicts.

    Writes report.html into --output: what changes verdict, side by side with both error maps.
    """
    from assessment.comparison import compare as judged
    from assessment.comparison_report import save_comparison
    from assessment.results import results_folder
    from assessment.summary import print_comparison

    names = (str(one), str(other))
    with results_folder(output, data):
        comparison = judged((one, other), data)
        report = save_comparison(comparison, names, ", ".join(data), output)
    print_comparison(comparison, names)
    for warning in comparison.warnings(names):
        sys.stderr.write(f"warning: {shown(warning)}\n")
    typer.echo(f"written: {report}")


def evaluate_model() -> None:
    """Entry point of `evaluate-model`."""
    cli.run(_evaluate)
