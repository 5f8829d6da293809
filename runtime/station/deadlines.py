"""Deadlines: how long a run that will end by itself waits for what it needs. One on live cameras never gives up.

What a new process alone can mend is waited for by neither.
"""

import time
from collections.abc import Mapping, Sequence

from core.errors import BackendError, BrokerError, OutboxError, RestartError
from runtime.delivery.link import Link, LinkState
from runtime.inference.recovery import Recovery
from runtime.mqtt.settings import BrokerSettings
from runtime.outbox.outbox import Outbox

ENGINE_PATIENCE_S = 60.0
ROOM_PATIENCE_S = 30.0
"""How long a broker may take, from the start on, to make room on a disk that the outbox has filled."""


def require_engine(recovery: Recovery) -> None:
    """Raise BackendError where the engine has been away for too long."""
    if recovery.away_s > ENGINE_PATIENCE_S:
        raise BackendError(f"{recovery.problem}. What was not judged is judged by the next run.")


def require_hope(recovery: Recovery) -> None:
    """Raise RestartError where only a new process can open the engine."""
    if recovery.is_hopeless:
        raise RestartError(
            f"{recovery.problem}. This CUDA error stays with the process: start it again, as systemd and Docker do. "
            "What was not judged is judged by the next run."
        )


def why_no_room(outbox: Outbox, waited_s: float) -> str:
    """Say why nothing can be stored yet; empty: something can.

    Raises OutboxError where that has been so too long, or nothing waits that the broker could take.
    """
    try:
        outbox.require_room()
    except OutboxError as error:
        if waited_s >= ROOM_PATIENCE_S or not outbox.depth:
            raise
        return str(error)
    return ""


def require_broker(link: Link, settings: BrokerSettings, outbox: Outbox) -> None:
    """Raise BrokerError where the broker refuses us, or has been away for too long."""
    waited_s = time.monotonic() - link.since_s
    if link.state == LinkState.REFUSED or (link.state != LinkState.CONNECTED and waited_s > settings.connect_timeout_s):
        host, port = settings.address
        silent = f"it has acknowledged nothing for {waited_s:.0f} s; `run-inspection doctor` says how far one comes"
        state = LinkState.REFUSED if link.state == LinkState.REFUSED else LinkState.UNREACHABLE
        raise BrokerError(
            f"broker {host}:{port} {state}: {link.reason or silent}. "
            f"{outbox.depth} events wait in {outbox.path} and go out with the next run."
        )


def require_taken(topics: Sequence[str], refused: Mapping[str, str], settings: BrokerSettings, outbox: Outbox) -> None:
    """Raise BrokerError where the broker refuses events on one of `topics`, and these wait therefore."""
    for topic in topics:
        if topic in refused and outbox.depth:
            host, port = settings.address
            raise BrokerError(
                f"broker {host}:{port} takes no events on {topic}: {refused[topic]}. "
                f"{outbox.depth} events wait in {outbox.path} and go out with the next run."
            )
