"""The doctor's checks of the way to the MES: broker and outbox, opened as the inspection would, and let go again."""

from core.errors import BrokerError
from core.files import free_space
from runtime.delivery.connection import Connector, Refused, Unreachable
from runtime.delivery.embedded_broker import EmbeddedBroker
from runtime.delivery.outbox import Outbox
from runtime.delivery.settings import BrokerSettings, OutboxSettings


def check_broker(settings: BrokerSettings, client_id: str) -> str:
    """Log in; nothing is published. Raises BrokerError where the broker does not take us in.

    Raises ConfigError where a password or certificate cannot be read.
    """
    host, port = settings.address
    if settings.host is None:
        with EmbeddedBroker(port):
            return f"none configured: one will be started on {host}:{port}, for a trial"
    # A client id of its own: the station's would throw a running inspection out.
    connector = Connector(settings, f"{client_id}-doctor")
    try:
        connector.open().close()
    except Unreachable as error:
        raise BrokerError(
            f"{host}:{port} does not answer ({error}); start it, or check broker.host, broker.port and the firewall."
        ) from error
    except Refused as error:
        raise BrokerError(f"{host}:{port} answers and refuses us: {error}.") from error
    return f"{host}:{port} takes us in"


def check_outbox(settings: OutboxSettings) -> str:
    """Open it. Raises OutboxError where it cannot be written, or another process uses it."""
    outbox = Outbox(settings)
    depth = outbox.depth
    outbox.close()
    return f"{settings.path} can be written, {depth} events wait in it, {free_space(settings.path.parent)}"
