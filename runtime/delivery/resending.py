"""Resending: a stretch of the journal goes out once more, where nothing newer waits. One at a time.

It is begun on any thread, and taken by the publisher. A new connection goes back by as much as may have been under way.
"""

import logging
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from core.errors import ConfigError, OutboxError
from runtime.mqtt.message import Outgoing, event_message
from runtime.outbox.journal import Journal, Kept
from runtime.outbox.row import StoredEvent

log = logging.getLogger(__name__)
PAGE = 100
MOST_UNDER_WAY = 1000
"""No more messages are ever sent and not acknowledged (`max_inflight`)."""


@dataclass
class _Stretch:
    next: int
    last: int
    camera: str | None
    under_way: deque[int] = field(default_factory=lambda: deque(maxlen=MOST_UNDER_WAY))
    """The numbers of those that were taken last: of one camera's events there are others between two."""


class Resending:
    """What is sent again now, if anything."""

    def __init__(self, journal: Journal | None) -> None:
        """Send out of `journal`; None: nothing is kept."""
        self._journal = journal
        self._stretch: _Stretch | None = None
        self._page: deque[Kept] = deque()
        self._changed = threading.Lock()

    @property
    def is_under_way(self) -> bool:
        """Whether something is still to be sent."""
        return self._stretch is not None

    def keep(self, events: Sequence[StoredEvent]) -> None:
        """The broker took `events`."""
        if self._journal is not None:
            self._journal.keep(events)

    def require_journal(self) -> Journal:
        """Give the journal. Raises ConfigError where none is kept."""
        if self._journal is None:
            raise ConfigError("no journal is kept; set `outbox.journal_events`.")
        return self._journal

    def begin(self, first: int, camera: str | None) -> int:
        """Send the events from number `first` on, of `camera` or of all; gives how many. Raises ConfigError."""
        journal = self.require_journal()
        with self._changed:
            if self._stretch is not None:
                raise ConfigError("events are being sent again already; ask when they are through.")
            count, last = journal.count(first, camera)
            self._stretch = _Stretch(first, last, camera) if count else None
            return count

    def begin_again(self) -> None:
        """What was under way on the last connection may not have come."""
        with self._changed:
            if self._stretch is not None:
                self._stretch.next = next(iter(self._stretch.under_way), self._stretch.next)
                self._stretch.under_way.clear()
                self._page.clear()

    def end(self, why: str) -> None:
        """Send no more of it, where anything is sent again."""
        with self._changed:
            if self._stretch is not None:
                log.error("what is sent again ends early: %s", why)
            self._stretch = None
            self._page.clear()

    def settled(self) -> None:
        """All that was taken was acknowledged."""
        with self._changed:
            if self._stretch is not None and not self._page and self._stretch.next > self._stretch.last:
                self._stretch = None

    def take(self) -> Outgoing | None:
        """Give the next one, marked as replayed."""
        with self._changed:
            kept = self._next()
        if kept is None:
            return None
        return event_message(kept.topic, kept.body, replayed=True)

    def _next(self) -> Kept | None:
        stretch = self._stretch
        if stretch is None or self._journal is None:
            return None
        if not self._page:
            try:
                self._page.extend(self._journal.read(stretch.next, stretch.last, stretch.camera, PAGE))
            except OutboxError as error:
                log.error("what is sent again ends early: %s", error)
        if not self._page:
            stretch.next = stretch.last + 1
            return None
        kept = self._page.popleft()
        stretch.next = kept.number + 1
        stretch.under_way.append(kept.number)
        return kept
