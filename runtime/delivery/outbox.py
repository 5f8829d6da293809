"""The outbox: events on disk (SQLite, WAL) from the moment a part is judged until the broker has acknowledged it.

One thread adds, one thread reads and removes. Added events survive a power cut (fsync at every commit); a removal may
be forgotten by one, and the event is then sent again with the same id. An event that has to go, to keep within the
bounds, leaves a gap event in its place: neighbouring gaps become one, and `seq` stays without holes for a reader.
"""

import fcntl
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from core.errors import OutboxError
from runtime.delivery.settings import OutboxSettings
from runtime.events.gap import gap_of, joined_gap
from runtime.events.topics import gap_beside
from runtime.parts.verdict import Verdict

SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    camera TEXT NOT NULL,
    verdict INTEGER NOT NULL,
    stored_at_s REAL NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS events_by_verdict ON events (verdict, position);
"""
GAP = -1
"""Stands where an event has its verdict."""
COUNTS = """
SELECT COUNT(*), COALESCE(SUM(verdict <> -1), 0), COALESCE(SUM(LENGTH(body)) FILTER (WHERE verdict <> -1), 0),
    COALESCE(MAX(position), 0)
FROM events
"""
DISCARD_ORDER = (Verdict.OK, Verdict.UNDEFINED, Verdict.NOT_DECIDABLE, Verdict.NOT_OK)


@dataclass(frozen=True)
class NewEvent:
    """An event to be added."""

    topic: str
    camera: str
    verdict: Verdict
    body: bytes


@dataclass(frozen=True)
class StoredEvent:
    """An event that waits."""

    position: int
    """Rises from event to event, over all runs."""
    topic: str
    stored_at_s: float
    body: bytes


class Outbox:
    """Stores events on the thread that judges, gives and removes them on the publisher's, until `close`."""

    def __init__(self, bounds: OutboxSettings, clock: Callable[[], float] = time.time) -> None:
        """Open or make the file. Raises OutboxError where it cannot be, or another process uses it."""
        self.path = path = bounds.path
        self._bounds = bounds
        self._clock = clock
        self._writing = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock_file = path.with_name(path.name + ".lock").open("w")
        except OSError as error:
            raise OutboxError(f"outbox {path}: cannot be opened ({error.strerror}); check `outbox.path`.") from error
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock_file.close()
            raise OutboxError(
                f"outbox {path}: another run-inspection uses it; stop that one or set another `outbox.path`."
            ) from error
        try:
            with self._guarded():
                self._adding = self._connect("FULL")
                self._adding.executescript(SCHEMA)
                self._removing = self._connect("NORMAL")
                counts: tuple[int, int, int, int] = self._adding.execute(COUNTS).fetchone()
                self.depth, self._events, self._bytes, self.newest = counts
        except OutboxError:
            self._lock_file.close()
            raise

    def add(self, letters: Sequence[NewEvent]) -> list[tuple[str, Verdict]]:
        """Store events (see `event.build`), in one transaction that is on disk when this returns.

        Returns camera and verdict of each event that had to go to keep within the bounds. Raises OutboxError where the
        disk does not take the events; none is stored then.
        """
        if not letters:
            return []
        now_s = self._clock()
        rows = [(letter.topic, letter.camera, letter.verdict, now_s, letter.body) for letter in letters]
        with self._writing, self._guarded(), self._adding as database:
            for row in rows:
                cursor = database.execute(
                    "INSERT INTO events (topic, camera, verdict, stored_at_s, body) VALUES (?, ?, ?, ?, ?)", row
                )
            newest = cursor.lastrowid
            depth, events = self.depth + len(rows), self._events + len(rows)
            size = self._bytes + sum(len(letter.body) for letter in letters)
            discarded: list[tuple[str, Verdict]] = []
            for position, camera, verdict, length in self._surplus(events, size, now_s - self._bounds.max_age_s):
                depth -= self._give_up(position, camera)
                discarded.append((camera, Verdict(verdict)))
                events, size = events - 1, size - length
        self.depth, self._events, self._bytes, self.newest = depth, events, size, newest or self.newest
        return discarded

    def read(self, after: int, limit: int) -> list[StoredEvent]:
        """Return up to `limit` events behind position `after`, in order."""
        with self._guarded():
            rows = self._removing.execute(
                "SELECT position, topic, stored_at_s, body FROM events WHERE position > ? ORDER BY position LIMIT ?",
                (after, limit),
            )
            return [StoredEvent(*row) for row in rows]

    def remove(self, positions: Sequence[int]) -> None:
        """Forget events that the broker has acknowledged."""
        with self._writing:
            depth, events, size = self.depth, self._events, self._bytes
            with self._guarded(), self._removing as database:
                for position in positions:
                    removed = database.execute(
                        "DELETE FROM events WHERE position = ? RETURNING LENGTH(body), verdict", (position,)
                    ).fetchone()
                    depth -= removed is not None
                    if removed and removed[1] != GAP:
                        events, size = events - 1, size - removed[0]
            self.depth, self._events, self._bytes = depth, events, size

    @property
    def bytes(self) -> int:
        """Of the events that wait."""
        return self._bytes

    @property
    def max_age_s(self) -> float:
        """How long an event may wait."""
        return self._bounds.max_age_s

    def close(self) -> None:
        """Close the file; what waits stays."""
        with self._writing:
            self._adding.close()
            self._removing.close()
            self._lock_file.close()

    def _surplus(self, events: int, size: int, oldest_s: float) -> list[tuple[int, str, int, int]]:
        """List events that must go (position, camera, verdict, bytes): the too old, then by DISCARD_ORDER."""
        by_age = """SELECT position, camera, verdict, LENGTH(body), stored_at_s FROM events
            WHERE verdict = ? ORDER BY position"""
        going = []
        for verdict in DISCARD_ORDER:
            for row in self._adding.execute(by_age, (verdict,)):
                is_too_many = events > self._bounds.max_events or size > self._bounds.max_bytes
                if row[4] >= oldest_s and not is_too_many:
                    break
                going.append(row[:4])
                events, size = events - 1, size - row[3]
        return going

    def _give_up(self, position: int, camera: str) -> int:
        """Put a gap in the place of an event, joined with the gaps beside it. Returns how many rows that leaves less.

        A joined gap takes the last of the places, so that what removes an event or a gap that is on its way to the
        broker never removes a gap that was not sent.
        """
        database = self._adding
        topic, body = database.execute("SELECT topic, body FROM events WHERE position = ?", (position,)).fetchone()
        gap, places = gap_of(body), [position]
        for way in ("position < ? ORDER BY position DESC", "position > ? ORDER BY position"):
            beside = f"SELECT position, body FROM events WHERE verdict = ? AND camera = ? AND {way} LIMIT 1"  # noqa: S608
            neighbour = database.execute(beside, (GAP, camera, position)).fetchone()
            if neighbour and (joined := joined_gap(neighbour[1], gap)):
                gap = joined
                places.append(neighbour[0])
        database.execute(
            "UPDATE events SET topic = ?, verdict = ?, body = ? WHERE position = ?",
            (gap_beside(topic), GAP, gap, max(places)),
        )
        for place in places:
            if place != max(places):
                database.execute("DELETE FROM events WHERE position = ?", (place,))
        return len(places) - 1

    def _connect(self, synchronous: str) -> sqlite3.Connection:
        database = sqlite3.connect(self.path, check_same_thread=False, timeout=10)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(f"PRAGMA synchronous = {synchronous}")
        return database

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise OutboxError(
                f"outbox {self.path}: {error}; check the disk's free space and permissions, or move the file away."
            ) from error
