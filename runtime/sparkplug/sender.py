"""The sender: a thread with a second connection to the broker: a client has one will, and Sparkplug's is the death.

What the broker has taken of our JSON comes here, in that order, and goes out as Sparkplug data. Data is QoS 0 by the
specification, and what waits here waits in memory: the JSON events are the record, this is the view of them.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from runtime.delivery.session import GOODBYE_S, REPLAYED_AFTER_S
from runtime.mqtt.connection import Connection
from runtime.mqtt.connector import Cable, Connector, keep_connected
from runtime.mqtt.faults import Refused
from runtime.mqtt.message import Outgoing
from runtime.mqtt.settings import BrokerSettings
from runtime.sparkplug.birth_number import next_birth_number
from runtime.sparkplug.hosts import Hosts
from runtime.sparkplug.node import EdgeNode
from runtime.threads.bell import Bell
from runtime.threads.seldom import Seldom
from runtime.threads.worker import Worker

log = logging.getLogger(__name__)
LONGEST_QUEUE = 10_000
"""Messages kept for a connection that is away; the oldest are dropped."""
GRACE_S = 0.5
"""How long a stop goes on sending."""


class SparkplugSender(Worker):
    """Connects, gives birth, sends and hears commands on its own thread, for ever, until `stop`."""

    def __init__(self, connector: Connector, node: EdgeNode, birth_file: Path) -> None:
        """`birth_file` keeps the number of the last birth."""
        super().__init__("sparkplug", self._serve_until_stopped)
        self.state = "connecting"
        """How it stands with the broker: `connected`, or why not."""
        self._connector = connector
        self._node = node
        self._birth_file = birth_file
        self._queue: deque[tuple[Outgoing, float]] = deque(maxlen=LONGEST_QUEUE)
        self._bell = Bell()
        self._stopping = threading.Event()
        self._stop_by_s = 0.0
        self._told = Seldom()

    def take(self, message: Outgoing) -> None:
        """Take a message that the broker has acknowledged. Returns at once; raises what killed this thread."""
        if self.fault is not None:
            raise self.fault
        if len(self._queue) == LONGEST_QUEUE - 1:
            log.warning("sparkplug: %d messages wait, the oldest are sent as JSON only", LONGEST_QUEUE)
        self._queue.append((message, time.monotonic()))
        self._bell.ring()

    def stop(self) -> None:
        """Send what waits, say that the node is gone, and end."""
        self._stop_by_s = time.monotonic() + GRACE_S
        self._stopping.set()
        self._bell.ring()
        self.join(GRACE_S + GOODBYE_S + 0.2)

    def _serve_until_stopped(self) -> None:
        with closing(self._bell):
            keep_connected(self._connect_and_serve, self._tell, self._stopping, self._connector.cable)

    def _connect_and_serve(self) -> None:
        bd_seq = next_birth_number(self._birth_file)
        connection, is_told = self._connector.open(self._node.death(bd_seq)), False
        try:
            births = self._node.births(bd_seq)
            hosts = Hosts(connection, self._node, births[0].topic, self._told)
            self._send(connection, births)
            self._tell("connected")
            while not self._stopping.is_set() or (self._queue and time.monotonic() < self._stop_by_s):
                self._connector.require_cable()
                self._send_waiting(connection)
                connection.poll(1.0, self._bell)
                if hosts.ask_for_births():
                    self._send(connection, self._node.births(bd_seq))
            is_told = self._say_goodbye(connection, bd_seq)
            hosts.end()
        finally:
            connection.end(is_told)

    def _send_waiting(self, connection: Connection) -> None:
        while self._queue and connection.room > 0:
            message, since_s = self._queue.popleft()
            is_late = time.monotonic() - since_s > REPLAYED_AFTER_S
            self._send(connection, self._node.tell(message, is_late))

    def _send(self, connection: Connection, messages: list[Outgoing]) -> None:
        for message in messages:
            if (objection := connection.objection(message)) is not None:
                raise Refused(f"{message.topic}: {objection}")
            connection.publish(message)

    def _say_goodbye(self, connection: Connection, bd_seq: int) -> bool:
        """Tell our death, and say whether the broker took that: a clean end sends no will."""
        number = connection.publish(self._node.death(bd_seq))
        until_s = time.monotonic() + GOODBYE_S
        while time.monotonic() < until_s:
            if number in connection.poll(0.05, None):
                return True
        return False

    def _tell(self, state: str) -> None:
        if state != self.state:
            self.state = state
            (log.info if state == "connected" else log.warning)("sparkplug %s", state)


@contextmanager
def sending_sparkplug(
    broker: BrokerSettings, client_id: str, node: EdgeNode, birth_file: Path, cable: Cable | None = None
) -> Iterator[SparkplugSender]:
    """Run a sender beside the publisher, whose client id is `client_id` and which goes by `cable`; see SparkplugSender.

    Raises ConfigError where a password or certificate cannot be read.
    """
    sender = SparkplugSender(Connector(broker, f"{client_id}-sparkplug", cable), node, birth_file)
    sender.start()
    try:
        yield sender
    finally:
        sender.stop()
