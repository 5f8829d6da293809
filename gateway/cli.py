"""The command `opcua-gateway`."""

from pathlib import Path
from typing import Annotated

import typer

from core import cli

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
    with cli.stoppable() as stop:
        import asyncio
        import logging

        from gateway.settings import GatewaySettings
        from runtime.monitoring.logfmt import log_to_stderr

        settings = cli.load(config, GatewaySettings)
        log_to_stderr()
        # What clients do wrong it would tell as tracebacks of ours, and asyncio each answer that nobody reads any more.
        logging.getLogger("asyncua").setLevel(logging.CRITICAL)
        logging.getLogger("asyncio").setLevel(logging.ERROR)
        from gateway.server import serve

        asyncio.run(serve(settings, stop))


def opcua_gateway() -> None:
    """Entry point."""
    cli.run(app)
