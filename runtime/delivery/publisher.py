"""The publisher: the thread that keeps the broker told. It alone touches the MQTT connection.

Events come from the outbox, in order, and leave it when acknowledged. Retained topics (status, model, last, counters)
are kept with their newest value and are all sent again on every connect. What others send to us (triggers, commands)
goes to handlers on this thread, subscribed again on every connect. Inference never waits for any of this.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from runtime.delivery.delivered import Delivered
from runtime.delivery.link import Link, LinkState
from runtime.delivery.outbound import Outbound
from runtime.delivery.session import GOODBYE_S, Session
from runtime.delivery.status import Status
from runtime.mqtt.connector import Connector
from runtime.mqtt.faults import Closed, Refused, TakenOver, Unreachable
from runtime.mqtt.message import Message, Outgoing, Subscription
from runtime.mqtt.refusals import Refusals
from runtime.outbox.outbox import Outbox
from runtime.threads.backoff import STABLE_AFTER_S, BackOff
from runtime.threads.worker import Worker

log = logging.getLogger(__name__)
SUSPICIOUS_LOSSES = 3
"""This many connections in a row that were lost soon after the login look like another client with our client id, which
many brokers do not tell."""

OR_ELSE = (
    "; where none has, it closes at what we send (stop the station, and `run-inspection doctor` names it), or "
    "something on the way cuts it"
)


class _Ending:
    """Asks the publisher to end."""

    def __init__(self) -> None:
        self.is_asked = threading.Event()
        self.reason = ""
        self._by_s = math.inf

    def ask(self, reason: str, grace_s: float) -> None:
        self.reason, self._by_s = reason, time.monotonic() + grace_s
        self.is_asked.set()

    @property
    def left_s(self) -> float:
        """Until the end; infinite while nobody asks for one."""
        return self._by_s - time.monotonic()


class Publisher(Worker):
    """Connects, sends, and hears on its own thread, for ever, until `stop`."""

    def __init__(
        self,
        connector: Connector,
        outbox: Outbox,
        status_topic: str,
        status: Mapping[str, Any],
        outbound: Outbound | None = None,
    ) -> None:
        """`status` is what every status message tells beside the state; `outbound` may know what is sent again."""
        super().__init__("publisher", self._serve_until_stopped)
        self.link = Link(LinkState.CONNECTING, time.monotonic())
        self.connector = connector
        """How the broker is reached."""
        self.outbox = outbox
        """Where the events come from."""
        self.delivered = Delivered(outbox.age_s)
        self.outbound = outbound or Outbound()
        """What goes out beside the events."""
        self._status = Status(status_topic, status)
        self._refusals = Refusals()
        self._subscriptions: list[Subscription] = []
        self.on_acknowledged: Callable[[Outgoing], None] = lambda _message: None
        """Told on this thread of every message that the broker has taken, in that order. Set it before `start`."""
        self._ending = _Ending()

    def retain(self, topic: str, payload: bytes) -> None:
        """Set the newest value of a retained topic. Returns at once."""
        self.outbound.retain(topic, payload)

    def tell(self, trouble: str) -> None:
        """Say in the station's status what keeps it from judging; empty: nothing does. Returns at once."""
        if trouble == self._status.trouble:
            return
        self._status.trouble = trouble
        self.retain(self._status.topic, self._status.online().payload)

    def subscribe(self, topic_filter: str, handler: Callable[[Message], None]) -> None:
        """Give every message on `topic_filter` to `handler`, while we are connected: call it before `start`.

        `handler` runs on this thread: it has to be quick, and what it raises ends the inspection.
        """

        def each(messages: Sequence[Message]) -> None:
            for message in messages:
                handler(message)

        self._subscriptions.append(Subscription(topic_filter, each))

    def subscribe_lasting(self, topic_filter: str, handler: Callable[[Sequence[Message]], None]) -> None:
        """Give what comes on `topic_filter` to `handler`, also what came while we were away: call it before `start`.

        The broker keeps each message until it was given to `acknowledge`. `handler` runs on this thread.
        """
        self._subscriptions.append(Subscription(topic_filter, handler, is_lasting=True))

    def acknowledge(self, message: Message) -> None:
        """The result of `message` is on disk, and the broker need not keep it. Returns at once."""
        self.outbound.acknowledge(message)

    @property
    def refused(self) -> Mapping[str, str]:
        """Why the broker takes nothing from us, by topic."""
        return self._refusals.reasons

    def send(self, message: Outgoing) -> None:
        """Send something that is of use now or never: it is dropped where the broker is away. Returns at once."""
        self.outbound.send(message)

    def notify(self) -> None:
        """There are new events in the outbox. Returns at once."""
        self.outbound.notify()

    def wait_idle(self, timeout_s: float) -> bool:
        """Wait until everything is acknowledged; False where that takes longer than `timeout_s`."""
        return self.outbound.wait_idle(timeout_s)

    def stop(self, reason: str, grace_s: float) -> None:
        """Send what can be sent within `grace_s`, tell the world we are offline, and end. What is left stays."""
        self._ending.ask(reason, grace_s)
        self.outbound.bell.ring()
        self.join(grace_s + GOODBYE_S + 0.2)

    def _serve_until_stopped(self) -> None:
        try:
            self._keep_connected()
        finally:
            self.outbound.close()

    def _keep_connected(self) -> None:
        backoff, losses = BackOff(self.connector.cable.longest_wait_s), 0
        while not self._ending.is_asked.is_set():
            connected_s = time.monotonic()
            try:
                self._connect_and_serve()
            except TakenOver:
                self._set_link(LinkState.REFUSED, self._advice)
            except Unreachable as error:
                is_closed = isinstance(error, Closed)
                losses += is_closed
                suspicion = f" soon after the login, again and again: {self._advice}{OR_ELSE}"
                is_suspicious = is_closed and losses >= SUSPICIOUS_LOSSES
                self._set_link(LinkState.UNREACHABLE, f"{error}{suspicion if is_suspicious else ''}")
            except Refused as error:
                self._set_link(LinkState.REFUSED, str(error))
            if time.monotonic() - connected_s > STABLE_AFTER_S:
                losses = 0
                backoff.succeeded()
            self._ending.is_asked.wait(backoff.failed())

    @property
    def _advice(self) -> str:
        # Two ids of one prefix would be one station to all who listen.
        return (
            f"another client has this one's id ({self.connector.client_id}); give each station its own `station`, or "
            "where their names differ its own `broker.client_id`"
        )

    def _connect_and_serve(self) -> None:
        """Connect, serve until stopped, say goodbye."""
        is_lasting = any(each.is_lasting for each in self._subscriptions)
        connection, is_told = self.connector.open(self._status.will(), is_lasting), False
        try:
            session = Session(
                *(connection, self.outbox, self.outbound, self._refusals, self._subscriptions),
                *(self.delivered, self.on_acknowledged),
                is_trusted=self.connector.is_own,
            )
            session.mark(self.outbound.begin_again(self._status.online))
            try:
                is_told = self._serve(session)
            except Unreachable:
                session.lost()
                raise
        finally:
            self.outbound.disconnected()
            connection.end(is_told)

    def _serve(self, session: Session) -> bool:
        """Serve until stopped; say whether the broker knows that we go."""
        while True:
            self.connector.require_cable()
            is_done = session.send(at_once=self._ending.is_asked.is_set())
            left_s = self._ending.left_s
            if self._ending.is_asked.is_set() and (is_done or left_s <= 0):
                break
            session.collect(min(session.due_s, left_s))
            if session.is_answered:
                self._set_link(LinkState.CONNECTED, "")
        return session.say_goodbye(self._status.offline(self._ending.reason))

    def _set_link(self, state: LinkState, reason: str) -> None:
        if (state, reason) == (self.link.state, self.link.reason):
            return
        self.link = self.link.changed(state, reason, time.monotonic())
        if state == LinkState.CONNECTED:
            log.info("broker connected waiting=%d", self.outbox.depth)
        else:
            log.warning("broker %s reason=%r waiting=%d", state, reason, self.outbox.depth)
