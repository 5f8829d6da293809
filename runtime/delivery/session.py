"""A session: what is sent and heard on one connection, from login to close. It belongs to the publisher's thread."""

import time
from collections.abc import Callable, Sequence

from paho.mqtt.client import topic_matches_sub

from runtime.delivery.connection import Connection
from runtime.delivery.message import Message, Outgoing
from runtime.delivery.outbound import Outbound
from runtime.delivery.outbox import Outbox
from runtime.delivery.outbox_row import StoredEvent
from runtime.events.encoding import stamp
from runtime.events.event import SCHEMA
from runtime.events.gap import GAP_SCHEMA

RETAINED_EVERY_S = 0.2
"""Retained topics change with every part; their newest value is sent this often."""
REPLAYED_AFTER_S = 5.0
"""An event that waited longer than this in the outbox is marked as replayed."""
GOODBYE_S = 0.3
"""How long the broker is given to acknowledge that we go offline."""

Handlers = Sequence[tuple[str, Callable[[Message], None]]]
"""Who hears the messages on which topic filter."""


class Session:
    """Sends events in the outbox's order, and removes them when the broker has acknowledged them."""

    def __init__(
        self,
        connection: Connection,
        outbox: Outbox,
        outbound: Outbound,
        handlers: Handlers,
        on_delivered: Callable[[Sequence[StoredEvent]], None],
        on_acknowledged: Callable[[Outgoing], None],
    ) -> None:
        """Subscribe for `handlers`; `on_delivered` is told of events that the broker has taken, in batches.

        `on_acknowledged` is told of every message, events too, in the order in which the broker has taken them.
        """
        self._connection = connection
        self._outbox = outbox
        self._outbound = outbound
        self._handlers = handlers
        self._on_delivered = on_delivered
        self._on_acknowledged = on_acknowledged
        self._sent: dict[int, tuple[Outgoing, StoredEvent | None]] = {}
        self._position = 0
        self._retained_s = 0.0
        for topic_filter, _handler in handlers:
            connection.subscribe(topic_filter)

    def send(self, at_once: bool) -> bool:
        """Send what there is room for, retained topics now and then or `at_once`. True: all is acknowledged."""
        if at_once or time.monotonic() - self._retained_s >= RETAINED_EVERY_S:
            self._retained_s = time.monotonic()
            self._send_all(self._outbound.take_retained)
        self._send_all(self._outbound.take_passing)
        room = self._connection.room
        if room > 0 and self._outbox.newest > self._position:
            for event in self._outbox.read(self._position, room):
                self._publish(_stamped(event, self._outbox.age_s(event), self._outbox.max_age_s), event)
                self._position = event.position
        return self._outbound.settle(lambda: bool(self._sent or self._outbox.depth))

    @property
    def due_s(self) -> float:
        """In how many seconds `send` has to be called again, where nothing else happens."""
        return self._retained_s + RETAINED_EVERY_S - time.monotonic() if self._outbound.has_unsent else 1.0

    def collect(self, timeout_s: float) -> None:
        """Wait for acknowledgements and messages, or until something new waits. Raises Unreachable or Refused."""
        numbers = self._connection.poll(timeout_s, self._outbound.bell.heard)
        taken = [self._sent.pop(number) for number in numbers]
        events = [event for _message, event in taken if event is not None]
        if events:
            self._outbox.remove([event.position for event in events])
            self._on_delivered(events)
        for acknowledged, _event in taken:
            self._on_acknowledged(acknowledged)
        for message in self._connection.received():
            for topic_filter, handler in self._handlers:
                if topic_matches_sub(topic_filter, message.topic):
                    handler(message)

    def say_goodbye(self, status: Outgoing) -> None:
        """Tell that we go offline: a clean end sends no will, so this is ours to send."""
        number = self._publish(status)
        until_s = time.monotonic() + GOODBYE_S
        while number in self._sent and time.monotonic() < until_s:
            self.collect(until_s - time.monotonic())

    def _send_all(self, take: Callable[[], Outgoing | None]) -> None:
        while self._connection.room > 0 and (message := take()) is not None:
            self._publish(message)

    def _publish(self, message: Outgoing, event: StoredEvent | None = None) -> int:
        number = self._connection.publish(message)
        self._sent[number] = message, event
        return number


def _stamped(event: StoredEvent, waited_s: float, max_age_s: float) -> Outgoing:
    """An event as it goes out now; the broker need not keep it for longer than the outbox would."""
    replayed = waited_s > REPLAYED_AFTER_S
    schema = GAP_SCHEMA if event.topic.endswith("/gap") else SCHEMA
    user = (("schema", schema), ("replayed", str(replayed).lower()))
    return Outgoing(event.topic, stamp(event.body, time.time(), replayed), expiry_s=max_age_s - waited_s, user=user)
