"""The follower: a thread that keeps connected to the broker, hears what stations tell, and may tell them something."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

from core.errors import BrokerError, ConfigError
from runtime.following.filters import Filters, Handler
from runtime.following.publication import Publication
from runtime.mqtt.connection import Connection
from runtime.mqtt.connector import Connector, keep_connected
from runtime.mqtt.faults import Unreachable
from runtime.mqtt.message import Outgoing
from runtime.mqtt.refusals import QUOTA_EXCEEDED
from runtime.mqtt.settings import BrokerSettings
from runtime.mqtt.words import with_access
from runtime.threads.bell import Bell
from runtime.threads.worker import Worker

log = logging.getLogger(__name__)
CONNECTED = "connected"
MOST_LOSSES = 3
"""A command that waits takes a broker that ends so many connections in a row for one that does not want it."""


@dataclass(frozen=True)
class Contact:
    """How it stands with the broker."""

    words: str
    """`connected`, why not, or what is not heard although it is."""
    is_up: bool

    @property
    def is_whole(self) -> bool:
        """Whether all is heard."""
        return self.words == CONNECTED


AWAY, LOST = Contact("it does not answer", is_up=False), Contact("the connection was lost", is_up=False)


class Follower:
    """Connected between `with` and its end, or on the way to it."""

    def __init__(
        self,
        broker: BrokerSettings,
        client_id: str,
        handlers: Mapping[str, Handler],
        will: Outgoing | None = None,
        qos: Literal[0, 1] = 1,
        on_contact: Callable[[Contact], None] = lambda _contact: None,
        needs_all: bool = False,
    ) -> None:
        """`handlers` by topic filter, heard with `qos`; `will` is what the broker sends for us when we are lost.

        `on_contact` is called on the follower's thread whenever that changes, of a connection when all filters are
        answered. `needs_all`: a broker that denies one of them is left, as one that refuses the login.

        Raises ConfigError where no broker is named, or a secret or certificate cannot be used.
        """
        if broker.host is None:
            raise ConfigError("broker.host: it is missing; set it to the broker that all stations reach.")
        self._broker = broker
        self._connector = Connector(broker, client_id)
        self._filters = Filters(handlers, qos, needs_all)
        self._will = will
        self._waiting: deque[Publication] = deque()
        """What was published and is not acknowledged, but for what is under way."""
        self._bell = Bell()
        self._stopping = threading.Event()
        self._connected = threading.Event()
        self._contact = AWAY
        self._on_contact = on_contact
        self._losses = 0
        """Connections in a row that were lost before all was subscribed."""
        self._worker = Worker("follower", self._serve_until_stopped)

    def __enter__(self) -> "Follower":
        """Begin to connect."""
        self._worker.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Say goodbye."""
        self._stopping.set()
        self._bell.ring()
        self._worker.join(2.0)

    def require(self) -> None:
        """Wait for the connection.

        Raises BrokerError where there is none within `broker.connect_timeout_s`, or where it gives us nothing.
        """
        self.require_thread()
        host, port = self._broker.address
        if self._losses >= MOST_LOSSES or not self._connected.wait(self._broker.connect_timeout_s):
            self.require_thread()
            raise BrokerError(f"broker {host}:{port}: {self._away.words}; check `broker` in the configuration.")
        if self._filters.refusal:
            raise BrokerError(f"broker {host}:{port}: {self._filters.refusal}.")

    def require_thread(self) -> None:
        """Raise what killed the follower's thread."""
        if self._worker.fault is not None:
            raise self._worker.fault

    @property
    def is_through(self) -> bool:
        """Whether the connection stands, and all filters are answered: what is retained has come, or comes now."""
        return self._connected.is_set() and self._contact.is_up

    @property
    def trouble(self) -> str:
        """Why the broker is away; empty: it is not."""
        return "" if self._connected.is_set() else self._away.words

    @property
    def _away(self) -> Contact:
        """What was told last of a broker that is away; it may be gone and not be told yet."""
        contact = self._contact
        return LOST if contact.is_up else contact

    def publish(self, message: Outgoing) -> Publication:
        """Send it now or when the connection stands again. Returns at once."""
        publication = Publication(message)
        self._waiting.append(publication)
        self._bell.ring()
        return publication

    def _serve_until_stopped(self) -> None:
        with closing(self._bell):
            keep_connected(self._connect_and_serve, self._tell_away, self._stopping, self._connector.cable)

    def _connect_and_serve(self) -> None:
        connection, is_told = self._connector.open(self._will), False
        under_way: dict[int, Publication] = {}
        try:
            self._filters.begin()
            self._connected.set()
            while not self._stopping.is_set():
                self._filters.ask(connection)
                if self._filters.is_through:
                    self._losses = 0
                    self._tell(Contact(self._filters.refusal or CONNECTED, is_up=True))
                self._send(connection, under_way)
                self._settle(connection, under_way)
                for message in connection.received():
                    self._filters.hand_on(message)
                    connection.acknowledge(message)
            # What waits may be that we go.
            is_told = all(each.is_settled for each in (*under_way.values(), *self._waiting))
        finally:
            self._losses += 1
            self._connected.clear()
            self._waiting.extendleft(reversed(under_way.values()))
            connection.end(is_told)

    def _send(self, connection: Connection, under_way: dict[int, Publication]) -> None:
        while self._waiting and connection.room > 0:
            publication = self._waiting.popleft()
            if (objection := connection.objection(publication.message)) is not None:
                publication.settle(objection)
            elif not publication.is_settled:
                under_way[connection.publish(publication.message)] = publication

    def _settle(self, connection: Connection, under_way: dict[int, Publication]) -> None:
        """Wait for answers. Raises Unreachable where the connection is gone, or the broker takes no more for now."""
        acknowledged = connection.poll(1.0, self._bell)
        for number in acknowledged:
            if (taken := under_way.pop(number, None)) is not None:
                taken.settle()
        for number, reason, words in connection.rejected():
            if reason == QUOTA_EXCEEDED:
                raise Unreachable(f"{words}: it is tried again")
            why = with_access(words, reason)
            if (refused := under_way.pop(number, None)) is not None:
                refused.settle(why)
                log.error("broker refuses messages topic=%s reason=%r", refused.message.topic, why)
            else:
                self._filters.refused(number, why)
        self._filters.granted(acknowledged)

    def _tell_away(self, why: str) -> None:
        contact = Contact(why, is_up=False)
        # Of a broker that speaks, who hears it takes it for there.
        if contact == self._contact and self._filters.has_heard:
            self._on_contact(contact)
        self._tell(contact)
        self._filters.has_heard = False

    def _tell(self, contact: Contact) -> None:
        if contact != self._contact:
            self._on_contact(contact)
            self._contact = contact
            (log.info if contact.is_whole else log.warning)("broker %s", contact.words)
