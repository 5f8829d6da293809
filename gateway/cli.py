"""The command `opcua-gateway`."""

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core import cli

if TYPE_CHECKING:
    from gateway.settings import GatewaySettings

HELP = """Serve over OPC UA (40100-1 Machine Vision) what stations report over MQTT. Needs pip install '.[opcua]'.

CONFIG is a YAML file; the smallest one that works:

\b
    stations: {press-3: pwae/site/area/line/press-3}   # name: topic prefix
    broker: {host: mes.example.com}

It serves at `host` and `port` until SIGINT or SIGTERM. A broker that is away is shown as a state, and tried again.
A clean stop by SIGTERM, or by a terminal that is closed, gives exit code 0."""

app = cli.app(HELP)


@app.command("serve", help=HELP)
def serve_command(config: Annotated[Path, typer.Argument(metavar="CONFIG", help="The YAML configuration.")]) -> None:
    """Serve until a signal."""
    import asyncio
    import logging

    from gateway.settings import GatewaySettings
    from runtime.monitoring.logfmt import log_to_stderr

    settings = cli.load(config, GatewaySettings)
    log_to_stderr()
    # What clients do wrong it would tell as tracebacks of ours, and asyncio each answer that nobody reads any more.
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    heard: list[signal.Signals] = []
    try:
        asyncio.run(_serve_until_signal(settings, heard))
    except KeyboardInterrupt:
        if not heard:
            raise
    if heard[-1] == signal.SIGINT:
        raise KeyboardInterrupt


async def _serve_until_signal(settings: "GatewaySettings", heard: list[signal.Signals]) -> None:
    import asyncio
    from threading import Event

    stop, is_serving = asyncio.Event(), Event()
    loop = asyncio.get_running_loop()

    def ask(number: signal.Signals) -> None:
        heard.append(number)
        if not is_serving.is_set():  # the nodeset is read without a pause in which the loop would hear
            raise KeyboardInterrupt
        loop.call_soon_threadsafe(stop.set)

    cli.heed_signals(ask)
    from gateway.server import serve

    sys.stderr.write("reading the nodeset of OPC 40100-1, which takes some seconds\n")
    await serve(settings, stop, is_serving.set)


def opcua_gateway() -> None:
    """Entry point."""
    cli.run(app)
