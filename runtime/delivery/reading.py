"""Reading the outbox over one connection: each event once, in order, none on a topic that is left alone."""

import time
from collections.abc import Iterator, Set

from runtime.delivery.refusals import Refusals
from runtime.outbox.outbox import Outbox
from runtime.outbox.row import StoredEvent


class Reading:
    """How far the outbox was read. Belongs to the publisher's thread."""

    def __init__(self, outbox: Outbox, refusals: Refusals) -> None:
        """Begin with the oldest event."""
        outbox.begin()
        self._outbox = outbox
        self._refusals = refusals
        self._position = 0
        self._again_s = float("inf")
        self._passed_over: set[int] = set()

    @property
    def is_through(self) -> bool:
        """Whether all that can be sent was read."""
        return self._outbox.newest <= self._position

    @property
    def due_s(self) -> float:
        """In how many seconds a topic that was left alone is tried again."""
        return max(0.0, self._again_s - time.monotonic())

    def pass_over(self, event: StoredEvent) -> None:
        """Read `event` no more: it was refused for itself, and waits for the next connection."""
        self._passed_over.add(event.position)

    def look_back(self) -> None:
        """Begin again with the oldest, where a topic that was left alone is to be tried."""
        if time.monotonic() >= self._again_s:
            self._outbox.begin()
            self._position = 0
        self._again_s = time.monotonic() + self._refusals.next_try_s

    def read(self, limit: int, under_way: Set[int]) -> Iterator[StoredEvent]:
        """Give of the next `limit` events those that were not sent, whose positions are not `under_way`."""
        newest = self._outbox.newest
        events = self._outbox.read(self._position, limit, self._refusals.left_alone)
        last = events[-1].position if events else 0
        # Where no more than these are left, all behind them is on topics that are left alone; but events that were
        # stored since `newest` was asked for may be among them, and are not to be read twice.
        self._position = last if len(events) == limit else max(newest, last)
        return (each for each in events if each.position not in under_way and each.position not in self._passed_over)
