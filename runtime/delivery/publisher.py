"""The publisher: the thread that keeps the broker told. It alone touches the MQTT connection.

Events come from the outbox, in order, and leave it when acknowledged. Retained topics (status, model, last, counters)
are kept here with their newest value and are all sent again on every connect. What others send to us (triggers,
commands) goes to handlers on this thread, subscribed anew on every connect. Inference never waits for any of this.
"""

import contextlib
import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from paho.mqtt.client import topic_matches_sub

from core.timestamps import rfc3339
from runtime.delivery.connection import Connection, Connector, Refused, TakenOver, Unreachable
from runtime.delivery.link import Link, LinkState
from runtime.delivery.message import Message, Outgoing
from runtime.delivery.outbox import Outbox, StoredEvent
from runtime.events.encoding import dumps, stamp
from runtime.events.event import SCHEMA
from runtime.events.gap import GAP_SCHEMA
from runtime.threads.backoff import BackOff
from runtime.threads.worker import Worker

log = logging.getLogger(__name__)
RETAINED_EVERY_S = 0.2
"""Retained topics change with every part; their newest value is sent this often."""
REPLAYED_AFTER_S = 5.0
"""An event that waited longer than this in the outbox is marked as replayed."""
GOODBYE_S = 0.3
"""How long the broker is given to acknowledge that we go offline."""
STABLE_AFTER_S = 5.0
"""A connection that lasted this long starts the back-off anew when it is lost."""
SUSPICIOUS_LOSSES = 3
"""So many connections in a row that were lost soon after the login look like another client with our client id, which
many brokers do not tell."""


class Publisher(Worker):
    """Connects, sends, and hears on its own thread, for ever, until `stop`."""

    def __init__(
        self,
        connector: Connector,
        outbox: Outbox,
        status_topic: str,
        status: Mapping[str, Any],
    ) -> None:
        """`status` is what every status message tells beside the state."""
        super().__init__("publisher", self._serve_until_stopped)
        self.link = Link(LinkState.CONNECTING, time.monotonic())
        self.acknowledged = 0
        """Events that the broker has taken since the start."""
        self.delivered_ms: deque[float] = deque(maxlen=10_000)
        """How long the events acknowledged last took from the disk to the acknowledgement; whoever reads them may clear
        them."""
        self._connector = connector
        self._outbox = outbox
        self._status_topic = status_topic
        self._status = status
        self._trouble = ""
        self._retained: dict[str, bytes] = {}
        self._dirty: dict[str, None] = {}
        self._passing: deque[Outgoing] = deque()
        self._handlers: list[tuple[str, Callable[[Message], None]]] = []
        self._changed = threading.Lock()
        self._idle = threading.Event()
        self._stopping = threading.Event()
        self._stop_by_s = 0.0
        self._stop_reason = ""
        self._wake, self._awake = socket.socketpair()
        self._wake.setblocking(False)

    def retain(self, topic: str, payload: bytes) -> None:
        """Set the newest value of a retained topic. Returns at once."""
        with self._changed:
            self._retained[topic] = payload
            self._dirty[topic] = None
            self._idle.clear()
        self._ring()

    def tell(self, trouble: str) -> None:
        """Say in the station's status what keeps it from judging; empty: nothing does. Returns at once."""
        self._trouble = trouble
        if self.link.state == LinkState.CONNECTED:
            self.retain(self._status_topic, self._status_now("online", trouble))

    def subscribe(self, topic_filter: str, handler: Callable[[Message], None]) -> None:
        """Give every message on `topic_filter` to `handler`, from the next connect on: call it before `start`.

        `handler` runs on this thread: it has to be quick, and what it raises ends the inspection.
        """
        self._handlers.append((topic_filter, handler))

    def send(self, message: Outgoing) -> None:
        """Send something that is of use now or never: it is dropped where the broker is away. Returns at once."""
        if self.link.state == LinkState.CONNECTED:
            with self._changed:
                self._passing.append(message)
                self._idle.clear()
            self._ring()

    def notify(self) -> None:
        """There are new events in the outbox. Returns at once."""
        with self._changed:
            self._idle.clear()
        self._ring()

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until everything is acknowledged; False where that takes longer than `timeout_s`."""
        return self._idle.wait(timeout_s)

    def stop(self, reason: str, grace_s: float) -> None:
        """Send what can be sent within `grace_s`, tell the world we are offline, and end. What is left stays."""
        self._stop_reason, self._stop_by_s = reason, time.monotonic() + grace_s
        self._stopping.set()
        self._ring()
        self.join(grace_s + GOODBYE_S + 0.2)

    def _serve_until_stopped(self) -> None:
        try:
            self._keep_connected()
        finally:
            self._awake.close()
            self._wake.close()

    def _keep_connected(self) -> None:
        backoff, losses = BackOff(), 0
        while not self._stopping.is_set():
            connected_s = time.monotonic()
            try:
                self._session()
            except TakenOver:
                self._set_link(LinkState.REFUSED, f"another client uses our client id: {self._advice}")
            except Unreachable as error:
                losses += self.link.state == LinkState.CONNECTED
                suspicion = f" soon after the login, again and again: {self._advice}"
                self._set_link(LinkState.UNREACHABLE, f"{error}{suspicion if losses >= SUSPICIOUS_LOSSES else ''}")
            except Refused as error:
                self._set_link(LinkState.REFUSED, str(error))
            if time.monotonic() - connected_s > STABLE_AFTER_S:
                losses = 0
                backoff.succeeded()
            self._stopping.wait(backoff.failed())

    @property
    def _advice(self) -> str:
        return f"give each station its own `broker.client_id` (this one's is {self._connector.client_id})"

    def _session(self) -> None:
        """Connect, serve until stopped, say goodbye."""
        will = {**self._status, "state": "offline", "reason": "connection lost", "since": None}
        connection = self._connector.open(self._status_topic, dumps(will))
        try:
            for topic_filter, _handler in self._handlers:
                connection.subscribe(topic_filter)
            self._set_link(LinkState.CONNECTED, "")
            self._serve(connection)
        except BaseException:
            connection.drop()
            raise
        connection.close()

    def _serve(self, connection: Connection) -> None:
        with self._changed:
            self._retained[self._status_topic] = self._status_now("online", self._trouble)
            self._dirty = dict.fromkeys([self._status_topic, *self._retained])
            self._passing.clear()
        sent: dict[int, StoredEvent | None] = {}
        position, retained_s = 0, 0.0
        while True:
            now_s = time.monotonic()
            if now_s - retained_s >= RETAINED_EVERY_S or self._stopping.is_set():
                retained_s = now_s
                self._send_retained(connection, sent)
            self._send_passing(connection, sent)
            position = self._send_events(connection, sent, position)
            with self._changed:
                done = not (sent or self._dirty or self._passing or self._outbox.depth)
                if done:
                    self._idle.set()
                due_s = retained_s + RETAINED_EVERY_S - now_s if self._dirty else 1.0
            if self._stopping.is_set():
                if done or now_s >= self._stop_by_s:
                    break
                due_s = min(due_s, self._stop_by_s - now_s)
            self._collect(connection, sent, due_s)
        self._say_goodbye(connection, sent)

    def _send_retained(self, connection: Connection, sent: dict[int, StoredEvent | None]) -> None:
        while connection.room > 0:
            with self._changed:
                topic = next(iter(self._dirty), None)
                if topic is None:
                    return
                del self._dirty[topic]
                payload = self._retained[topic]
            sent[connection.publish(Outgoing(topic, payload, retain=True))] = None

    def _send_passing(self, connection: Connection, sent: dict[int, StoredEvent | None]) -> None:
        while self._passing and connection.room > 0:
            sent[connection.publish(self._passing.popleft())] = None

    def _send_events(self, connection: Connection, sent: dict[int, StoredEvent | None], position: int) -> int:
        if self._outbox.newest <= position or connection.room <= 0:
            return position
        for event in self._outbox.read(position, connection.room):
            sent[connection.publish(_stamped(event, time.time(), self._outbox.max_age_s))] = event
            position = event.position
        return position

    def _collect(self, connection: Connection, sent: dict[int, StoredEvent | None], timeout_s: float) -> None:
        events = [event for number in connection.poll(timeout_s, self._awake) if (event := sent.pop(number))]
        if events:
            now_s = time.time()
            self.delivered_ms.extend(max(0.0, now_s - event.stored_at_s) * 1000 for event in events)
            self._outbox.remove([event.position for event in events])
            self.acknowledged += len(events)
        for message in connection.received():
            for topic_filter, handler in self._handlers:
                if topic_matches_sub(topic_filter, message.topic):
                    handler(message)

    def _say_goodbye(self, connection: Connection, sent: dict[int, StoredEvent | None]) -> None:
        """A clean end sends no will: the offline status is ours to send."""
        status = self._status_now("offline", self._stop_reason)
        number = connection.publish(Outgoing(self._status_topic, status, retain=True))
        sent[number] = None
        until_s = time.monotonic() + GOODBYE_S
        while number in sent and time.monotonic() < until_s:
            self._collect(connection, sent, until_s - time.monotonic())

    def _status_now(self, state: str, reason: str) -> bytes:
        return dumps({**self._status, "state": state, "reason": reason, "since": rfc3339(time.time())})

    def _set_link(self, state: LinkState, reason: str) -> None:
        if (state, reason) == (self.link.state, self.link.reason):
            return
        was_down = self.link.state != LinkState.CONNECTED
        since_s = self.link.since_s if was_down and state != LinkState.CONNECTED else time.monotonic()
        self.link = Link(state, since_s, reason, self.link.was_connected or state == LinkState.CONNECTED)
        if state == LinkState.CONNECTED:
            log.info("broker connected waiting=%d", self._outbox.depth)
        else:
            log.warning("broker %s reason=%r waiting=%d", state, reason, self._outbox.depth)

    def _ring(self) -> None:
        # The pipe is full when the earlier rings were not yet heard, and closed when the thread has ended.
        with contextlib.suppress(OSError):
            self._wake.send(b"\0")


def _stamped(event: StoredEvent, now_s: float, max_age_s: float) -> Outgoing:
    """An event as it goes out at `now_s`; the broker need not keep it for longer than the outbox would."""
    waited_s = now_s - event.stored_at_s
    replayed = waited_s > REPLAYED_AFTER_S
    schema = GAP_SCHEMA if event.topic.endswith("/gap") else SCHEMA
    user = (("schema", schema), ("replayed", str(replayed).lower()))
    return Outgoing(event.topic, stamp(event.body, now_s, replayed), expiry_s=max_age_s - waited_s, user=user)
