"""The outbox's part of the configuration: where events wait for the broker, and how many."""

from pathlib import Path

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from core.config import Settings

EVENT_ON_DISK_BYTES = 4300
"""One of the usual size takes a page of the file, with its share of the indexes."""
KEPT_BYTES = 16_000_000
"""So much of its disk nothing new takes. What SQLite keeps beside the file (`-wal`) has some 5 MB."""


class OutboxSettings(Settings):
    """Where events wait for the broker. When a bound is reached the oldest OK go first, NotOK last."""

    path: Path = Path("pwae-outbox.sqlite")
    max_events: PositiveInt = 500_000
    """A gap event, which tells of those that went, counts as none."""
    max_bytes: PositiveInt = 1_000_000_000
    """Of events; the file on disk is two to two and a half times as large."""
    max_age_s: PositiveFloat = 30 * 86400.0
    journal_events: NonNegativeInt = 0
    """How many events that the broker has taken are kept next to it (`pwae-outbox.journal.sqlite`, 2 kB each), to be
    sent again by `cmd/resend`. 0: none."""

    @property
    def file_bytes(self) -> int:
        """How large the file becomes, about, where as much waits as may."""
        return min(self.max_events * EVENT_ON_DISK_BYTES, self.max_bytes * 5 // 2)
