"""Opening what delivers: the outbox, the broker where none is configured, and the publisher between them."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from runtime.delivery.outbound import Outbound
from runtime.delivery.publisher import Publisher
from runtime.mqtt.connector import Connector
from runtime.mqtt.embedded_broker import EmbeddedBroker
from runtime.mqtt.settings import BrokerSettings
from runtime.outbox.journal import open_journal
from runtime.outbox.outbox import Outbox
from runtime.outbox.settings import OutboxSettings


@contextmanager
def open_publisher(
    broker: BrokerSettings, outbox: OutboxSettings, client_id: str, status_topic: str, status: Mapping[str, Any]
) -> Iterator[Publisher]:
    """Open the outbox and its journal, and make the publisher, which is not started; close both files at the end.

    `status` is what every status message tells beside the state. Raises OutboxError, BrokerError where the broker for
    a trial cannot be started, ConfigError where a password or certificate cannot be read.
    """
    with ExitStack() as stack:
        events = Outbox(outbox)
        stack.callback(events.close)
        journal = open_journal(outbox)
        if journal is not None:
            stack.callback(journal.close)
        if broker.host is None:
            stack.enter_context(EmbeddedBroker(broker.address[1]))
        yield Publisher(Connector(broker, client_id), events, status_topic, status, Outbound(journal))
