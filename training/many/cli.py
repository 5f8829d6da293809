"""`train-many`."""

from pathlib import Path
from typing import Annotated

import typer

from core import cli
from core.start import INTERRUPTED

HELP = (
    "Train many part numbers, each by train-model in a process of its own, and evaluate each.\n\n"
    "PARTS is a YAML file: `parts`, the configurations of train-model, such as `parts/*.yaml`. Stopped or killed, the "
    "same command goes on where it was; parts that are done are not trained again. A table is written beside PARTS, "
    "a report for each part into its output. The exit code is that of the first part that failed."
)

_many = cli.app(HELP)


@_many.command(help=HELP)
def train(
    config: Annotated[Path, typer.Argument(metavar="PARTS", help="The YAML file that names the parts.")],
    cpus: Annotated[int, typer.Option(min=1, help="Cores for each part; as many parts run as there are cores.")] = 1,
    gpus: cli.Gpus = 0.0,
    ray: cli.Ray = False,
) -> None:
    """Train."""
    from contextlib import closing

    from rich.console import Console

    from training.many.many import find_parts, outcomes_table, run_here, run_on_ray, write_table

    cli.require_ray(ray, gpus)
    parts = find_parts(config)
    outcomes = []
    try:
        with closing(run_on_ray(parts, cpus, gpus) if ray else run_here(parts, cpus)) as running:
            for done in running:
                outcomes.append(done)
                what = done.error or f"done in {done.minutes:.1f} min{'' if done.tries else ', trained before'}"
                typer.echo(f"{len(outcomes)} of {len(parts)}: {done.name}: {what}", err=True)
    except (KeyboardInterrupt, SystemExit):
        typer.echo("to go on: give the same command; what is done is not done again", err=True)
        raise
    table = config.with_suffix(".csv")
    write_table(outcomes, table)
    Console().print(outcomes_table(outcomes))
    typer.echo(f"written: {table}, with the path of each part's report")
    if code := next((done.exit_code for done in outcomes if done.error), 0):
        raise typer.Exit(code)


def train_many() -> None:
    """Entry point of `train-many`."""
    try:
        cli.run(_many)
    except SystemExit as end:
        if end.code == INTERRUPTED:  # threads still wait for their trainings, which end with this process
            cli.end_at_once(INTERRUPTED)
        raise
