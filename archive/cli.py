"""`rejudge`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core import cli

if TYPE_CHECKING:
    from archive.rejudging import Crew

HELP = (
    "Judge an archive of millions of pictures again with a bundle: one row for each picture.\n\n"
    "PICTURES are folders. Stopped or killed, the same command goes on where it was: finished shards wait in "
    "OUTPUT.work. A damaged picture is a row with its reason; one that kills whoever reads it is named, and the "
    "others are judged."
)
COMPARE_HELP = (
    "Judge an archive with two bundles and tell which verdicts would change, before the new one is rolled out.\n\n"
    "Each changed verdict is a line of OUTPUT, with both scores."
)

_rejudge = cli.app(HELP)

_Pictures = Annotated[list[Path], typer.Argument(metavar="PICTURES...", help="Folders of pictures.")]
_Workers = Annotated[int | None, typer.Option(min=1, help="Processes side by side; left out: one for each core.")]


@_rejudge.command(help=HELP)
def judge(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder that export-engine wrote.")],
    pictures: _Pictures,
    output: Annotated[Path, typer.Option(help="New file: .parquet (needs '.[parquet]'), .csv or .jsonl.")],
    workers: _Workers = None,
    ray: cli.Ray = False,
    gpus: cli.Gpus = 0.0,
) -> None:
    """Judge."""
    from archive.rejudging import rejudge as judged

    told = judged(bundle, pictures, output, _crew(workers, ray, gpus))
    for reason in told.undecided:
        typer.echo(f"not decided: {reason}", err=True)
    if told.warning:
        typer.echo(told.warning, nl=False, err=True)
    counts = ", ".join(f"{count} {word}" for word, count in sorted(told.verdicts.items()))
    typer.echo(f"written: {output}, {told.verdicts.total()} pictures: {counts}")


@_rejudge.command(help=COMPARE_HELP)
def compare(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="Bundle in use.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Bundle to come.")],
    pictures: _Pictures,
    output: Annotated[Path, typer.Option(help="New file for the changed verdicts, .csv.")],
    workers: _Workers = None,
    ray: cli.Ray = False,
    gpus: cli.Gpus = 0.0,
) -> None:
    """Compare."""
    from rich.console import Console

    from archive.changes import changes, changes_table

    found = changes(old, new, pictures, output, _crew(workers, ray, gpus))
    for bundle, warning in ((old, found.old_warning), (new, found.new_warning)):
        if warning:
            typer.echo(f"{bundle}: {warning}", nl=False, err=True)
    Console().print(changes_table(found))
    typer.echo(f"written: {output}")


def _crew(workers: int | None, ray: bool, gpus: float) -> "Crew":
    from archive.rejudging import Crew
    from core.cluster import cores

    cli.require_ray(ray, gpus)
    return Crew(workers or cores(), ray, gpus)


def rejudge() -> None:
    """Entry point of `rejudge`."""
    cli.run(_rejudge)
