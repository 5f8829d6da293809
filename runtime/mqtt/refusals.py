"""Refusals: what the broker does not take from us. Each is told once; a topic is left alone and tried again later.

What was refused stays in the outbox: nothing is lost when somebody mends the broker's access list.
"""

import logging
import time

from runtime.mqtt.losses import ENDS, SELDOM_S, Losses
from runtime.mqtt.words import TOPIC_REASONS, UNHEARD, with_access
from runtime.threads.seldom import Seldom

log = logging.getLogger(__name__)
RETRY_AFTER_S = 60.0
"""How long a refused topic is left alone."""
QUOTA_EXCEEDED = 0x97
"""Trying again helps."""
NOBODY = 0x10
"""Taken, and nobody subscribes there."""


class Refusals:
    """Outlives the connections. Belongs to the publisher's thread; `reasons` is for any."""

    def __init__(self) -> None:
        self._topics: dict[str, float] = {}
        """Until when they are left alone."""
        self._told: dict[tuple[str, str], None] = {}
        self.reasons: dict[str, str] = {}
        """By topic: why messages on it are not taken, the newest word of the broker."""
        self._unheard: set[str] = set()
        self._seldom = Seldom()
        self.losses = Losses()
        """What it refuses without a word."""

    @staticmethod
    def is_of_topic(reason: int) -> bool:
        """Whether the broker's `reason` says that it takes no message on that topic, and not this one alone."""
        return reason in TOPIC_REASONS

    def refuse_topic(self, topic: str, words: str, reason: int) -> None:
        """Leave `topic` alone for a while; `reason` is MQTT 5's, 0 where we found it ourselves."""
        self._topics[topic] = time.monotonic() + RETRY_AFTER_S
        self.refuse(topic, with_access(words, reason))

    def refuse_silently(self, topic: str) -> None:
        """Leave `topic` alone for long: each try costs the connection."""
        self._topics[topic] = time.monotonic() + SELDOM_S
        self.refuse(topic, ENDS)

    def refuse(self, topic: str, reason: str) -> None:
        """Tell of a message that was refused."""
        self.reasons = {**self.reasons, topic: reason}
        if self._is_new(topic, reason):
            log.error(
                "broker refuses messages topic=%s reason=%r remedy=%r",
                *(topic, reason, "correct it at the broker; what waits is kept, and the rest goes on"),
            )

    def refuse_subscription(self, topic_filter: str, words: str) -> None:
        """The broker gives us nothing on `topic_filter`: ask again after a while."""
        self._topics[topic_filter] = time.monotonic() + RETRY_AFTER_S
        reason = f"it sends us nothing from there ({words}); allow that there"
        self.reasons = {**self.reasons, topic_filter: reason}
        if self._is_new(topic_filter, reason):
            log.error("broker refuses the subscription topic=%s reason=%r", topic_filter, reason)

    def limit(self, topic_filter: str, reason: str) -> None:
        """Tell once that the broker gives us less on `topic_filter` than we asked for."""
        if self._is_new(topic_filter, reason):
            log.warning("broker limits the subscription topic=%s reason=%r", topic_filter, reason)

    def tell_once(self, topic: str, reason: str) -> None:
        """Tell of a message that was of use now or never."""
        if self._is_new(topic, reason):
            log.warning("broker refuses a message, which is dropped topic=%s reason=%r", topic, reason)

    def gave(self, topic: str, reason: int) -> None:
        """The broker took an event on `topic`, for `reason`: perhaps for nobody, which is told when that begins."""
        if reason != NOBODY:
            self._unheard.discard(topic)
        elif topic not in self._unheard and self._seldom.is_due(topic):
            self._unheard.add(topic)
            log.warning("broker gives our events to nobody topic=%s reason=%r", topic, UNHEARD)

    def took(self, topic: str) -> None:
        """The broker took a message on `topic`, or our subscription."""
        if topic in self.reasons:
            log.info("broker no longer refuses topic=%s", topic)
            self.reasons = {name: reason for name, reason in self.reasons.items() if name != topic}
            self._topics.pop(topic, None)
            self._told = {key: None for key in self._told if key[0] != topic}

    def _is_new(self, topic: str, reason: str) -> bool:
        """Whether this is to be told, as far back as is remembered."""
        is_new = (topic, reason) not in self._told
        self._told[topic, reason] = None
        while len(self._told) > 1000:
            self._told.pop(next(iter(self._told)))
        return is_new

    @property
    def left_alone(self) -> tuple[str, ...]:
        """The topics on which nothing is sent for now."""
        now_s = time.monotonic()
        return tuple(topic for topic, until_s in self._topics.items() if now_s < until_s)

    @property
    def next_try_s(self) -> float:
        """In how many seconds a topic is tried again; infinite where none is left alone."""
        now_s = time.monotonic()
        return min((until_s - now_s for until_s in self._topics.values() if now_s < until_s), default=float("inf"))
