"""Filters: what a follower asks the broker for, one after the other, and who is given what comes."""

import time
from collections.abc import Callable, Mapping
from typing import Literal

from paho.mqtt.matcher import MQTTMatcher

from runtime.mqtt.connection import Connection
from runtime.mqtt.faults import Refused
from runtime.mqtt.listening import ANSWERS_S, SUBSCRIPTION_UNANSWERED
from runtime.mqtt.message import Message
from runtime.mqtt.refusals import RETRY_AFTER_S

NOTHING = "p-wae/nothing"
"""Nobody has subscribed for it: that we ask for no more of it is answered behind all that was retained."""
Handler = Callable[[Message], None]
"""Takes a message on the follower's thread, so it has to be quick. It may raise Unreachable, to have all sent anew."""


class Filters:
    """Outlives the connections. Belongs to the follower's thread; `refusal` and `is_through` are for any."""

    def __init__(self, handlers: Mapping[str, Handler], qos: Literal[0, 1], needs_all: bool) -> None:
        """`handlers` by topic filter; `needs_all`: a broker that denies one is refused."""
        self.is_through = False
        """Whether all filters are answered on this connection, and what was retained has come."""
        self.refusal = ""
        """Why nothing comes on some of the filters; empty: all are heard."""
        self.has_heard = False
        """Whether anything was handed on since it was told last that the broker is away."""
        self._handlers = MQTTMatcher()  # type: ignore[no-untyped-call]
        for topic_filter, handler in handlers.items():
            self._handlers[topic_filter] = handler
        self._order = list(handlers)
        self._qos = qos
        self._needs_all = needs_all
        self._unasked: list[str] = []
        self._asked: tuple[int, str, float] | None = None
        """The number and the filter that was asked for last and is not answered, and until when it may be."""
        self._denied: dict[str, str] = {}
        """Why nothing comes, by filter."""
        self._again_s = float("inf")
        """When those that were denied, or not answered, are asked for again."""

    def begin(self) -> None:
        """Begin with the first filter of a new connection: one that was denied, of which it is to be known at once."""
        self._order.sort(key=lambda each: each not in self._denied)
        self._unasked, self._asked, self.is_through = [*self._order, NOTHING], None, False
        self._denied, self.refusal, self._again_s = {}, "", float("inf")

    def ask(self, connection: Connection) -> None:
        """Subscribe when the filter before is answered: brokers drop what waits for a client beyond a limit."""
        now_s = time.monotonic()
        if self._asked is not None and now_s >= self._asked[2]:
            self.refused(self._asked[0], SUBSCRIPTION_UNANSWERED)
        if now_s >= self._again_s:
            self._unasked, self._again_s = [*self._unasked, *self._denied], float("inf")
        if self._asked is None and self._unasked:
            topic_filter = self._unasked.pop(0)
            is_mark = topic_filter == NOTHING
            number = connection.unsubscribe(NOTHING) if is_mark else connection.subscribe(topic_filter, self._qos)
            self._asked = number, topic_filter, now_s + ANSWERS_S
        self.is_through = self.is_through or self._asked is None

    def granted(self, numbers: Mapping[int, int]) -> None:
        """The broker took what has one of these numbers, perhaps a subscription."""
        if self._asked is not None and self._asked[0] in numbers:
            self._denied.pop(self._asked[1], None)
            self._answered()

    def refused(self, number: int, words: str) -> None:
        """The broker did not take what has this number, perhaps a subscription. Raises Refused where all are needed."""
        if self._asked is None or self._asked[0] != number:
            return
        if self._asked[1] == NOTHING:
            self._answered()
        else:
            self._again_s = min(self._again_s, time.monotonic() + RETRY_AFTER_S)
            self._denied[self._asked[1]] = words
            self._answered()
            if self._needs_all:
                raise Refused(self.refusal)

    def hand_on(self, message: Message) -> None:
        """Give a message to whoever hears it."""
        self.has_heard = True
        for handler in self._handlers.iter_match(message.topic):  # type: ignore[no-untyped-call]
            handler(message)

    def _answered(self) -> None:
        self._asked = None
        first, *others = self._denied or ("",)
        more = f", nor from {len(others)} more" if others else ""
        self.refusal = f"it sends us nothing from {first} ({self._denied[first]}){more}" if first else ""
