"""The subscription: a thread that keeps connected to the broker and hands on what the stations tell."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing

from runtime.delivery.connector import Connector, keep_connected
from runtime.delivery.faults import Refused, Unreachable
from runtime.delivery.listening import ANSWERS_S, NO_ANSWER
from runtime.delivery.message import Message
from runtime.delivery.words import ACCESS
from runtime.threads.bell import Bell
from runtime.threads.worker import Worker

log = logging.getLogger(__name__)
CONNECTED = "connected"


class Subscription(Worker):
    """Connects and hears on its own thread, for ever, until `stop`."""

    def __init__(
        self,
        connector: Connector,
        filters: Sequence[str],
        on_message: Callable[[Message], None],
        on_link: Callable[[str], None],
    ) -> None:
        """Both are called on this thread: `on_link` with `connected`, or with why it is not, whenever that changes."""
        super().__init__("subscription", self._serve_until_stopped)
        self._connector = connector
        self._filters = filters
        self._on_message = on_message
        self._on_link = on_link
        self._link = ""
        self._bell = Bell()
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Disconnect from the broker, and end."""
        self._stopping.set()
        self._bell.ring()
        self.join(2.0)

    def _serve_until_stopped(self) -> None:
        with closing(self._bell):
            keep_connected(self._connect_and_hear, self._tell, self._stopping, self._connector.cable)

    def _connect_and_hear(self) -> None:
        connection = self._connector.open()
        try:
            asked = {connection.subscribe(topic_filter): topic_filter for topic_filter in self._filters}
            until_s = time.monotonic() + ANSWERS_S
            while not self._stopping.is_set():
                for number in connection.poll(1.0, self._bell):
                    asked.pop(number, None)
                for number, _reason, words in connection.rejected():
                    if number in asked:
                        raise Refused(f"subscription to {asked[number]} ({words}); {ACCESS}")
                if not asked:
                    self._tell(CONNECTED)
                elif time.monotonic() > until_s:
                    raise Unreachable(f"subscription to {next(iter(asked.values()))}: {NO_ANSWER}")
                for message in connection.received():
                    self._on_message(message)
                    connection.acknowledge(message)
        finally:
            connection.close()

    def _tell(self, link: str) -> None:
        if link != self._link:
            self._link = link
            (log.info if link == CONNECTED else log.warning)("broker %s", link)
            self._on_link(link)
