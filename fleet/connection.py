"""The connection to the broker, for as long as a command or an agent runs; it is made again for ever."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import closing
from types import TracebackType

from paho.mqtt.matcher import MQTTMatcher

from core.errors import BrokerError, ConfigError
from fleet.sent import Sent
from runtime.delivery.connection import Connection as Line
from runtime.delivery.connector import Connector, keep_connected
from runtime.delivery.faults import Unreachable
from runtime.delivery.listening import ANSWERS_S, NO_ANSWER
from runtime.delivery.message import Message, Outgoing
from runtime.delivery.refusals import BUSY, RETRY_AFTER_S
from runtime.delivery.settings import BrokerSettings
from runtime.delivery.words import with_access
from runtime.threads.bell import Bell
from runtime.threads.worker import Worker

log = logging.getLogger(__name__)
CONNECTED = "connected"
MOST_LOSSES = 3
"""A command that waits takes a broker that ends so many connections in a row for one that does not want it."""
Handler = Callable[[str, bytes, bool], None]
"""Takes topic, payload, and whether it was retained; on the connection's thread, so it has to be quick."""


class Connection:
    """Open between `with` and its end."""

    def __init__(
        self,
        broker: BrokerSettings,
        client_id: str,
        handlers: Mapping[str, Handler],
        will: tuple[str, bytes] | None = None,
        qos: int = 1,
    ) -> None:
        """`handlers` by topic filter, heard with `qos`; `will` is retained.

        Raises ConfigError where a secret or certificate cannot be used.
        """
        if broker.host is None:
            raise ConfigError("broker.host: a fleet needs a broker that all stations reach; set it.")
        self._broker = broker
        self._connector = Connector(broker, client_id)
        self._hearing = _Hearing(handlers, qos)
        self._will = Outgoing(*will, retain=True) if will else None
        self._waiting: deque[Sent] = deque()
        """What was published and is not acknowledged, but for what is under way."""
        self._bell = Bell()
        self._stopping = threading.Event()
        self._connected = threading.Event()
        self._link = "it does not answer"
        """`connected`, or why not."""
        self._losses = 0
        """Connections in a row that were lost before all was subscribed."""
        self._worker = Worker("fleet", self._serve_until_stopped)
        self.on_connected: Callable[[], None] = lambda: None
        """Called on the connection's thread whenever the connection stands, and all is subscribed."""

    def __enter__(self) -> "Connection":
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
            raise BrokerError(f"broker {host}:{port}: {self._link}; check `broker` in the configuration.")
        if self._hearing.refusal:
            raise BrokerError(f"broker {host}:{port}: {self._hearing.refusal}.")

    def require_thread(self) -> None:
        """Raise what killed the connection's thread."""
        if self._worker.fault is not None:
            raise self._worker.fault

    @property
    def is_through(self) -> bool:
        """Whether the connection stands, and all is subscribed: what is retained has come, or comes now."""
        return self._connected.is_set() and self._hearing.is_through

    @property
    def trouble(self) -> str:
        """Why the broker is away; empty: it is not."""
        return "" if self._connected.is_set() else self._link

    def publish(self, topic: str, payload: bytes, retain: bool) -> Sent:
        """Send with QoS 1, now or when the connection stands again. Returns at once."""
        sent = Sent(Outgoing(topic, payload, retain))
        self._waiting.append(sent)
        self._bell.ring()
        return sent

    def _serve_until_stopped(self) -> None:
        with closing(self._bell):
            keep_connected(self._connect_and_serve, self._tell, self._stopping, self._connector.cable)

    def _connect_and_serve(self) -> None:
        line = self._connector.open(self._will)
        under_way: dict[int, Sent] = {}
        try:
            self._hearing.begin()
            self._connected.set()
            while not self._stopping.is_set():
                if self._hearing.ask(line):
                    self._losses = 0
                    self._tell(CONNECTED)
                    self.on_connected()
                self._send(line, under_way)
                self._settle(line, under_way)
                for message in line.received():
                    self._hearing.hand_on(message)
                    line.acknowledge(message)
        except BaseException:
            line.drop()
            raise
        finally:
            self._losses += 1
            self._link = "the connection was lost"
            self._connected.clear()
            self._waiting.extendleft(reversed(under_way.values()))
        line.close()

    def _send(self, line: Line, under_way: dict[int, Sent]) -> None:
        while self._waiting and line.room > 0:
            sent = self._waiting.popleft()
            if (objection := line.objection(sent.message)) is not None:
                sent.settle(objection)
            elif not sent.is_settled:
                under_way[line.publish(sent.message)] = sent

    def _settle(self, line: Line, under_way: dict[int, Sent]) -> None:
        """Wait for answers. Raises Unreachable where the connection is gone, or the broker takes no more for now."""
        acknowledged = line.poll(1.0, self._bell)
        for number in acknowledged:
            if (taken := under_way.pop(number, None)) is not None:
                taken.settle()
        for number, reason, words in line.rejected():
            if reason == BUSY:
                raise Unreachable(f"{words}: it is tried again")
            why = with_access(words, reason)
            if (refused := under_way.pop(number, None)) is not None:
                refused.settle(why)
                log.error("broker refuses messages topic=%s reason=%r", refused.message.topic, why)
            else:
                self._hearing.refused(number, why)
        self._hearing.granted(acknowledged)

    def _tell(self, link: str) -> None:
        if link != self._link:
            self._link = link
            (log.info if link == CONNECTED else log.warning)("broker %s", link)


class _Hearing:
    """What is heard, one filter after the other; belongs to the connection's thread."""

    def __init__(self, handlers: Mapping[str, Handler], qos: int) -> None:
        self.refusal = ""
        """Why nothing comes on one of the filters; empty: all are heard."""
        self.is_through = False
        """Whether all filters are answered on this connection."""
        self._handlers = MQTTMatcher()  # type: ignore[no-untyped-call]
        for topic_filter, handler in handlers.items():
            self._handlers[topic_filter] = handler
        self._filters = list(handlers)
        self._qos = qos
        self._unheard: list[str] = []
        """Filters that are to be subscribed on this connection."""
        self._asked: tuple[int, str, float] | None = None
        """The number and the filter that was subscribed last and is not answered, and until when it may be."""
        self._denied: list[str] = []
        self._again_s = float("inf")
        """When those that were denied, or not answered, are asked for again."""

    def begin(self) -> None:
        """Begin with the first filter of a new connection."""
        self._unheard, self._asked, self.is_through, self.refusal = list(self._filters), None, False, ""
        self._denied, self._again_s = [], float("inf")

    def ask(self, line: Line) -> bool:
        """Subscribe when the filter before is answered: brokers drop what waits for a client. True, once: all are."""
        if self._asked is not None:
            number, _filter, until_s = self._asked
            if time.monotonic() < until_s:
                return False
            self.refused(number, NO_ANSWER)
        if time.monotonic() >= self._again_s:
            self._unheard, self._denied, self._again_s = self._unheard + self._denied, [], float("inf")
        if self._unheard:
            topic_filter = self._unheard.pop(0)
            number = line.subscribe(topic_filter, self._qos)
            self._asked = number, topic_filter, time.monotonic() + ANSWERS_S
            return False
        was_through, self.is_through = self.is_through, True
        return not was_through

    def granted(self, numbers: Mapping[int, int]) -> None:
        """The broker took what has one of these numbers, perhaps a subscription."""
        if self._asked is not None and self._asked[0] in numbers:
            self._asked = None
            if self.refusal and not self._denied and not self._unheard:
                self.refusal = ""
                log.info("broker: it sends us everything again")

    def refused(self, number: int, words: str) -> None:
        """The broker did not take what has this number, perhaps a subscription."""
        if self._asked is not None and self._asked[0] == number:
            told, self.refusal = self.refusal, f"it sends us nothing from {self._asked[1]} ({words})"
            if self.refusal != told:
                log.error("broker: %s", self.refusal)
            self._denied.append(self._asked[1])
            self._again_s = min(self._again_s, time.monotonic() + RETRY_AFTER_S)
            self._asked = None

    def hand_on(self, message: Message) -> None:
        """Give a message to whoever hears it."""
        for handler in self._handlers.iter_match(message.topic):  # type: ignore[no-untyped-call]
            handler(message.topic, message.payload, message.retained)
