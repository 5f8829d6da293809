"""The command `run-inspection`."""

import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core import cli
from core.stop import Stop
from runtime.history.annotations import Annotations
from runtime.station.simulating.scenario import BLACK_SHARE, NOT_OK_SHARE, PHASE_PARTS, SHORTEST_S, Scenario

if TYPE_CHECKING:
    from runtime.station.console import Opening

HELP = """Judge camera frames with an exported bundle and report to an MES over MQTT.

CONFIG is a YAML file; the smallest one that works:

\b
    bundle: artifacts/cell            # the folder that export-engine wrote
    station: press-3
    cameras:
      top: {kind: folder, path: pictures/}
    broker: {host: mes.example.com}   # left out: a broker is started here, for a trial

Every part gives one JSON event on <prefix>/camera/<name>/result (QoS 1), <prefix> being `topic_prefix` of
CONFIG, which names site, area, line and station. Events wait in an outbox on disk until the broker has taken
them. Files and folders are judged once; the command ends when every event was taken. SIGINT or SIGTERM stop
it within 2 seconds; events that were not taken go out with the next run.

A clean stop by SIGTERM, or by a terminal that is closed, gives exit code 0."""

SIMULATE_HELP = f"""Publish invented events marked `simulated: true`: the MES side can be built before a camera exists.

CONFIG is the same file; its bundle and cameras need not be there yet. Of each camera's parts {NOT_OK_SHARE:.0%} are
NotOK and {BLACK_SHARE:.0%} NotDecidable. Topics and counters are the real ones, the outbox is one of its own; live
cameras answer triggers and report their states. A scenario plays {PHASE_PARTS} parts, or {SHORTEST_S:g} s, without
trouble and as long with it, in turn. SIGINT or SIGTERM stop it.
"""

DOCTOR_HELP = """Say in plain words what keeps CONFIG from running here: one line and one remedy each.

Bundle, backend, GPU, codecs, cameras, broker, outbox, PLC, evidence and view are opened as the inspection would, and
closed again; nothing is published or switched. Exit code 0 when ready, else that of the first thing missing. Run it
before the start: a running inspection holds the outbox and the port.
"""

CAMERAS_HELP = """List the factory cameras that answer, as lines for the configuration.

Those of GigE Vision and USB3 Vision (pip install '.[genicam]'), or with --producer those behind a maker's GenTL
producer (pip install '.[gentl]'). Nothing is set, and no camera is taken from a program that uses it. Exit code 7
where none answers.
"""

COLLECT_HELP = """Film pictures of good parts with the cameras, regions and triggers of CONFIG, to train on.

They go into OUTPUT/train/good (MVTec layout), as judging will see them: each region at the camera's own size. What is
black, over-exposed, blurred, unreadable or the same as before is left out and counted. The bundle need not be there
yet. Let good parts pass only; next: train-model init OUTPUT. Ctrl-C ends it early, and what is there is kept.
"""

EXPORT_HELP = """Copy the pictures of marked parts into a new folder in MVTec layout, to train and to test on.

What the operators marked as good goes to train/good and, half of it, to test/good; what they marked as bad to test/bad:
defective parts are for testing and for choosing a threshold, not for training. The station may run meanwhile.
"""

app = cli.app(HELP)
evidence = typer.Typer(help="The pictures that were kept.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(evidence, name="evidence")


@app.command(help=HELP)
def inspect(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="The YAML configuration.")],
    summary_json: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the closing figures to FILE as JSON; a run that fails leaves none."),
    ] = None,
) -> None:
    """Run an inspection to its end."""
    with cli.stoppable() as stop:
        if summary_json is not None:
            _forget(summary_json, config)
        from runtime.settings import InspectionSettings
        from runtime.station.assembly import open_inspection

        _run(open_inspection(cli.load(config, InspectionSettings)), stop, summary_json)


@app.command(help=SIMULATE_HELP)
def simulate(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="The YAML configuration.")],
    rate: Annotated[float, typer.Option(min=0.01, help="Parts a second, of each camera.")] = 2.0,
    parts: Annotated[
        int | None, typer.Option(min=1, help="End after this many parts of each camera; left out: never.")
    ] = None,
    scenario: Annotated[Scenario | None, typer.Option(help="What goes wrong, over and over.")] = None,
) -> None:
    """Run a simulation until it is stopped, or to its end."""
    with cli.stoppable() as stop:
        from runtime.settings import InspectionSettings
        from runtime.station.simulating.simulation import open_simulation

        _run(open_simulation(cli.load(config, InspectionSettings), rate, parts, scenario), stop)


@app.command(help=COLLECT_HELP)
def collect(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="The YAML configuration.")],
    output: Annotated[Path, typer.Option(metavar="DIR", help="The folder for the pictures; it must be empty.")],
    pictures: Annotated[int, typer.Option(min=1, help="How many pictures of each camera or region.")] = 300,
) -> None:
    """Film until there are enough pictures, or until it is stopped."""
    with cli.stoppable() as stop:
        from runtime.collecting import console
        from runtime.settings import InspectionSettings

        console.collect(cli.load(config, InspectionSettings), pictures, output, stop)


@evidence.callback()
def _evidence() -> None:
    """Have subcommands, though there is one."""


@evidence.command("export", help=EXPORT_HELP)
def export_evidence(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="The YAML configuration.")],
    output: Annotated[Path, typer.Option(metavar="DIR", help="The folder for the pictures; it must be empty.")],
    _marked: Annotated[bool, typer.Option("--marked", help="Of the marked parts, as always.")] = True,
    annotations: Annotated[Annotations | None, typer.Option(help="Write a file for such tools next to them.")] = None,
) -> None:
    """Copy what is marked."""
    from runtime.history.export import export
    from runtime.settings import InspectionSettings

    settings = cli.load(config, InspectionSettings)
    evidence = settings.evidence.folder if settings.evidence else None
    for line in export(evidence, output, annotations, settings.regions, settings.picture_folders):
        typer.echo(line)


@app.command(help=DOCTOR_HELP)
def doctor(config: Annotated[Path, typer.Argument(metavar="CONFIG", help="The YAML configuration.")]) -> None:
    """Print what is missing; the exit code is that of the first."""
    from runtime.doctor import examine
    from runtime.settings import InspectionSettings

    missing = []
    for finding in examine(cli.load(config, InspectionSettings)):
        if finding.exit_code:
            missing.append(finding)
        typer.echo(f"{'MISSING' if finding.exit_code else 'ok':8}{finding.subject}: {finding.text}")
    typer.echo("ready" if not missing else f"not ready: {len(missing)} to fix")
    if missing:
        raise typer.Exit(missing[0].exit_code)


@app.command(help=CAMERAS_HELP)
def cameras(
    interface: Annotated[
        str | None, typer.Option(help="A network interface's name or IPv4 address; left out: all, and USB.")
    ] = None,
    producer: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A GenTL producer (.cti), or a folder of them.")
    ] = None,
) -> None:
    """Print what answers as YAML."""
    from runtime.cameras.factory.discovery import list_cameras

    typer.echo(list_cameras(interface, producer))


def run_inspection() -> None:
    """Entry point."""
    try:
        cli.run(app)
    except SystemExit as end:
        _leave_threads_behind(end.code if isinstance(end.code, int) else 0)
        raise


def _leave_threads_behind(code: int) -> None:
    """End at once where a camera's read still blocks, or a model still loads: what returned later would abort it."""
    if threading.active_count() > 1:
        cli.end_at_once(code)


def _forget(figures: Path, config: Path) -> None:
    """Remove the figures of an earlier run, which nobody is to take for this one's; no device or link, nor `config`."""
    with suppress(OSError):  # it may be written all the same
        is_config = config.exists() and figures.samefile(config)
        if figures.is_file() and not figures.is_symlink() and not is_config:
            figures.unlink()


def _run(opening: "Opening", stop: Stop, summary_json: Path | None = None) -> None:
    from runtime.station import console

    summary = console.run(opening, stop)
    if summary_json is not None:
        console.write(summary, summary_json)
    console.tell(summary)
