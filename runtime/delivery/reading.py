"""Reading the outbox over one connection: each event once, in order, none on a topic that is left alone."""

import time
from collections.abc import Iterator, Sequence, Set

from runtime.mqtt.refusals import RETRY_AFTER_S, Refusals
from runtime.outbox.outbox import Outbox
from runtime.outbox.row import StoredEvent

RETRIES_A_SECOND = 100
"""Of events that were refused for themselves, on the long run."""


class Reading:
    """How far the outbox was read. Belongs to the publisher's thread."""

    def __init__(self, outbox: Outbox, refusals: Refusals) -> None:
        """Begin with the oldest event."""
        outbox.begin()
        self._outbox = outbox
        self._refusals = refusals
        self._position = 0
        self._again_s = self._refused_s = float("inf")
        self._passed_over: set[int] = set()
        self._refused: dict[int, str] = {}
        """Topics of the events that the broker does not take for themselves, by their positions."""
        self._sought: set[int] = set()
        """Of these, when they are tried again, those that were not read yet: the outbox may have given them up."""
        self._sought_until = 0

    @property
    def is_through(self) -> bool:
        """Whether all that can be sent was read."""
        return self._outbox.newest <= self._position

    @property
    def due_s(self) -> float:
        """In how many seconds a topic that was left alone is tried again."""
        return max(0.0, min(self._again_s, self._retry_s) - time.monotonic())

    @property
    def _retry_s(self) -> float:
        """When what was refused for itself is tried again: a broker that refuses all keeps us busy no longer."""
        return self._refused_s + RETRY_AFTER_S + len(self._refused) / RETRIES_A_SECOND

    def pass_over(self, event: StoredEvent) -> None:
        """Read `event` no more for a while: it was refused for itself."""
        self._passed_over.add(event.position)
        self._refused[event.position] = event.topic
        self._refused_s = min(self._refused_s, time.monotonic())

    def took(self, events: Sequence[StoredEvent]) -> None:
        """The broker took these: none of them is refused any longer."""
        for event in events:
            self._refused.pop(event.position, None)

    def is_refused(self, topic: str) -> bool:
        """Whether an event waits that was refused for itself on `topic`, whatever else the broker takes there."""
        return topic in self._refused.values()

    def look_back(self) -> None:
        """Begin again with the oldest, where what was left alone or refused is to be tried."""
        now_s = time.monotonic()
        if now_s >= self._retry_s:
            self._passed_over.clear()
            self._sought, self._sought_until = set(self._refused), max(self._refused, default=0)
            self._refused_s = float("inf")
            self._again_s = now_s
        if now_s >= self._again_s:
            self._outbox.begin()
            self._position = 0
        self._again_s = now_s + self._refusals.next_try_s

    def read(self, limit: int, under_way: Set[int]) -> Iterator[StoredEvent]:
        """Give of the next `limit` events those that were not sent, whose positions are not `under_way`."""
        newest = self._outbox.newest
        events = self._outbox.read(self._position, limit, self._refusals.left_alone)
        last = events[-1].position if events else 0
        # Where no more than these are left, all behind them is on topics that are left alone; but events that were
        # stored since `newest` was asked for may be among them, and are not to be read twice.
        self._position = last if len(events) == limit else max(newest, last)
        self._sought.difference_update(each.position for each in events)
        if self._position >= self._sought_until:
            for gone in self._sought:
                self._refused.pop(gone, None)
            self._sought.clear()
        return (each for each in events if each.position not in under_way and each.position not in self._passed_over)
