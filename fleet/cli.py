"""`fleet`."""

import signal
import threading
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core import cli
from core.errors import BrokerError, ConfigError, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from fleet.order import IsSigned
    from fleet.roll_out import RollOut
    from fleet.settings import FleetSettings
    from fleet.station import Stations

HELP = (
    "Show every station of a fleet on one page: versions, online, reject rate, drift.\n\n"
    "FLEET is a YAML file, which names the broker at least. On each station runs `fleet agent`."
)
ROLL_OUT_HELP = (
    "Order a packed bundle for every station with an agent, in waves; stop where one fails or rejects more.\n\n"
    "PACKAGE is what export-engine pack wrote, here, and --url where stations fetch the same file. Stopped, or given "
    "again, it goes on with the stations that have not got it."
)
BACK_HELP = "Order what the stations of the newest roll-out had before, all at once."
AGENT_HELP = (
    "Run next to a station's run-inspection: fetch, check and install what is ordered, and report what is there.\n\n"
    "AGENT is a YAML file, whose `inspection` names the station's configuration."
)

_fleet = cli.app(HELP)
_Fleet = Annotated[Path, typer.Argument(metavar="FLEET", help="The YAML configuration of the fleet.")]


@_fleet.command("page", help=HELP)
def _page_command(
    config: _Fleet,
    output: Annotated[Path, typer.Option(help="File to write; an older one is replaced.")] = Path("fleet.html"),
    every: Annotated[
        float | None, typer.Option(min=1, metavar="SECONDS", help="Write it again and again; left out: once.")
    ] = None,
) -> None:
    from fleet.order import any_signature
    from fleet.settings import FleetSettings

    settings = cli.load(config, FleetSettings)
    with _stations(settings, any_signature) as stations:
        count = _write_page(stations, output)
        while every is not None:
            time.sleep(every)
            try:
                _write_page(stations, output)
            except (BrokerError, OSError) as error:  # the page says of when it is
                typer.echo(f"{output} stays as it was: {one_line(error)}", err=True)
    typer.echo(f"written: {output}, {count} stations")


def _write_page(stations: "Stations", output: Path) -> int:
    from core.files import write_whole
    from fleet.page import page

    found = stations.read()
    write_whole(output, page(found, time.time()).encode())
    return len(found)


@_fleet.command("roll-out", help=ROLL_OUT_HELP)
def _roll_out_command(
    config: _Fleet,
    package: Annotated[Path, typer.Argument(metavar="PACKAGE", help="A packed and signed bundle.")],
    url: Annotated[str, typer.Option(help="Where stations fetch it, https://.")],
) -> None:
    from fleet.package import examined

    with _rolling_out(config) as (roll_out, key):
        roll_out.forth(examined(package, url, key))


@_fleet.command("rollback", help=BACK_HELP)
def _rollback_command(config: _Fleet) -> None:
    with _rolling_out(config) as (roll_out, _key):
        roll_out.back()


@_fleet.command("agent", help=AGENT_HELP)
def _agent_command(
    config: Annotated[Path, typer.Argument(metavar="AGENT", help="The YAML configuration of the agent.")],
) -> None:
    stop = threading.Event()

    def end(number: signal.Signals) -> None:
        if number != signal.SIGINT:  # which is no end in order, as of every command
            stop.set()
        raise KeyboardInterrupt  # a server that says nothing is waited for, and a bundle being opened

    try:
        cli.heed_signals(end)
        from fleet.agent import Agent
        from fleet.settings import AgentSettings
        from runtime.monitoring.logfmt import log_to_stderr

        log_to_stderr()
        Agent(cli.load(config, AgentSettings)).run(stop)
    except KeyboardInterrupt:
        if not stop.is_set():
            raise


@contextmanager
def _stations(settings: "FleetSettings", is_ours: "IsSigned") -> "Iterator[Stations]":
    from fleet.station import Stations

    stations = Stations(settings, settings.broker.client_id or f"pwae-fleet-{uuid.uuid4().hex[:8]}", is_ours)
    with stations.follower:
        yield stations


@contextmanager
def _rolling_out(config: Path) -> "Iterator[tuple[RollOut, Ed25519PrivateKey]]":
    from export.package import load_private_key
    from fleet.order import signed_by
    from fleet.roll_out import RollOut
    from fleet.settings import FleetSettings

    settings = cli.load(config, FleetSettings)
    key = load_private_key(_key_of(settings))
    with _stations(settings, signed_by(key)) as stations:
        yield RollOut(settings, stations, key, typer.echo), key


def _key_of(settings: "FleetSettings") -> Path:
    if settings.key is None:
        raise ConfigError("`key` is missing: the site's private key signs the orders.")
    return settings.key


def fleet() -> None:
    """Entry point of `fleet`."""
    cli.run(_fleet)
