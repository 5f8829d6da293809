"""Fresh events: the last that were stored, in memory too: who is up to date need not read them from the disk. Pure.

The disk stays the truth: where a row is changed there, and not only removed, or a reader begins with the oldest,
nothing is fresh any more.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from runtime.outbox.row import StoredEvent

MOST = 256


@dataclass(frozen=True)
class Fresh:
    """All that waits behind one position."""

    behind: int
    newest: int
    """The position of the last event that was stored."""
    events: tuple[StoredEvent, ...] = ()
    """In order."""

    def read(self, after: int, limit: int, without: Collection[str] = ()) -> list[StoredEvent] | None:
        """Give up to `limit` events behind position `after`, none on the topics `without`; None: the disk has more."""
        if after < self.behind:
            return None
        return [each for each in self.events if each.position > after and each.topic not in without][:limit]

    def with_new(self, events: Sequence[StoredEvent]) -> "Fresh":
        """Take in what was stored behind all others; the oldest go."""
        known = (*self.events, *events)
        gone, kept = known[:-MOST], known[-MOST:]
        return Fresh(gone[-1].position if gone else self.behind, events[-1].position, kept)

    def without(self, positions: Collection[int]) -> "Fresh":
        """Let go of what was removed."""
        return replace(self, events=tuple(each for each in self.events if each.position not in positions))
