"""What the broker has taken: how many events, and how long they took."""

from collections import deque
from collections.abc import Callable, Sequence

from runtime.events.topics import tells_of_a_gap
from runtime.outbox.row import StoredEvent


class Delivered:
    """Counts since the start; a gap is no event. The publisher's thread counts, any asks."""

    def __init__(self, age_s: Callable[[StoredEvent], float]) -> None:
        """`age_s` gives the seconds since an event was stored."""
        self.count = 0
        self._age_s = age_s
        self._latencies_ms: deque[float] = deque(maxlen=10_000)

    def add(self, events: Sequence[StoredEvent]) -> None:
        """Count what was acknowledged now."""
        self._latencies_ms.extend(self._age_s(event) * 1000 for event in events)
        self.count += sum(not tells_of_a_gap(event.topic) for event in events)

    def take_latencies_ms(self) -> list[float]:
        """Give how long the events acknowledged since the last call took from the disk to the acknowledgement."""
        return [self._latencies_ms.popleft() for _ in range(len(self._latencies_ms))]
