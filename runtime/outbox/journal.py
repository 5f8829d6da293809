"""The journal: the newest events that the broker has taken, kept on disk beside the outbox, to be sent once more.

An MES that lost its database asks for them. A fault here is reported and delays nothing: an event that cannot be
kept was delivered all the same.
"""

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.database import Database
from core.errors import OutboxError
from core.timestamps import rfc3339
from runtime.outbox.room import is_short
from runtime.outbox.row import StoredEvent, seal, unseal
from runtime.outbox.settings import OutboxSettings

log = logging.getLogger(__name__)
SCHEMA = """
CREATE TABLE IF NOT EXISTS sent (
    number INTEGER PRIMARY KEY,
    camera TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    topic TEXT NOT NULL,
    captured TEXT NOT NULL,
    sealed BLOB NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS sent_by_seq ON sent (camera, boot_id, seq, topic);
CREATE INDEX IF NOT EXISTS sent_by_time ON sent (captured);
"""
INSERT = """INSERT INTO sent (camera, boot_id, seq, topic, captured, sealed) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET sealed = excluded.sealed"""
BUSY_S = 1.0
# Whoever judges asks where to begin, and how many there are: `+number` lets SQLite look into an index alone, where by
# the number it would read the events themselves, some gigabytes of a large journal.


@dataclass(frozen=True)
class Kept:
    """An event of the journal."""

    number: int
    """Rises from event to event, over all runs."""
    topic: str
    body: bytes


class Journal:
    """Keeps and gives events, for any thread, until `close`."""

    def __init__(self, path: Path, most: int) -> None:
        """Open or make the file for the newest `most` events. Raises OutboxError where it cannot be."""
        self._path = path
        self._most = most
        self._captured = ""
        """Of the last event that was kept: a gap has no time of its own."""
        self._using = threading.Lock()
        self._problem = ""
        try:
            self._database = sqlite3.connect(path, timeout=BUSY_S, check_same_thread=False, factory=Database)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.executescript(SCHEMA)
            for (captured,) in self._database.execute("SELECT captured FROM sent ORDER BY number DESC LIMIT 1"):
                self._captured = str(captured)
        except sqlite3.Error as error:
            raise OutboxError(f"journal {path}: cannot be used ({error}); move it away; a new one is made.") from error

    def keep(self, events: Sequence[StoredEvent]) -> None:
        """Keep events that the broker took. Never raises; one that came twice is kept once."""
        rows = [self._row(event) for event in events]
        try:
            if is_short(self._path.parent):
                raise OSError("its disk is full, but for what the outbox needs")
            with self._using, self._database as database:
                database.executemany(INSERT, rows)
                database.execute("DELETE FROM sent WHERE number <= (SELECT MAX(number) FROM sent) - ?", (self._most,))
            self._problem = ""
        except (sqlite3.Error, OSError) as error:
            if str(error) != self._problem:
                self._problem = str(error)
                log.error("journal cannot keep events, they cannot be sent again file=%s: %s", self._path, error)

    def has_run(self, camera: str, boot_id: str) -> bool:
        """Whether any event of this run of `camera` is kept."""
        return bool(self._one("SELECT COUNT(*) FROM sent WHERE camera = ? AND boot_id = ?", camera, boot_id))

    def since_seq(self, camera: str, boot_id: str, seq: int) -> int | None:
        """Give the number of the event `seq` of a run of `camera`, or of the first behind it; None: there is none."""
        query = "SELECT MIN(number) FROM sent WHERE camera = ? AND boot_id = ? AND seq >= ?"
        return self._one(query, camera, boot_id, seq)

    def since_time(self, captured: str) -> int | None:
        """Give the number of the first event that was captured at `captured` (RFC 3339 in UTC) or later."""
        return self._one("SELECT MIN(+number) FROM sent WHERE captured >= ?", captured)

    def count(self, first: int, camera: str | None) -> tuple[int, int]:
        """Say how many events there are from number `first` on, of `camera` or of all, and the number of the last."""
        counted = "SELECT COUNT(*) FROM sent WHERE +number >= ?"
        last = self._one("SELECT MAX(number) FROM sent") or 0
        if camera is None:  # every event has a time, and an index of them
            return self._one(f"{counted} AND captured >= ''", first) or 0, last
        return self._one(f"{counted} AND camera = ?", first, camera) or 0, last

    @property
    def oldest(self) -> str | None:
        """When the oldest event was captured; None where there is none."""
        found = self._ask("SELECT captured FROM sent ORDER BY number LIMIT 1")
        return str(found[0][0]) if found else None

    def read(self, first: int, last: int, camera: str | None, limit: int) -> list[Kept]:
        """Give up to `limit` events from number `first` to `last`, in order; what came back damaged is left out."""
        columns, between = (
            "number, topic, CAST(sealed AS BLOB)",
            "number BETWEEN ? AND ? AND camera = COALESCE(?, camera)",
        )
        query = f"SELECT {columns} FROM sent WHERE {between} ORDER BY number LIMIT ?"  # noqa: S608
        while rows := self._ask(query, first, last, camera, limit):
            if whole := [Kept(number, topic, body) for number, topic, sealed in rows if (body := unseal(sealed))]:
                return whole
            first = rows[-1][0] + 1  # a whole page was damaged: what comes behind it is not held up
        return []

    def close(self) -> None:
        """Close the file."""
        with self._using:
            self._database.close()

    def _one(self, query: str, *values: object) -> int | None:
        found: int | None = self._ask(query, *values)[0][0]
        return found

    def _ask(self, query: str, *values: object) -> list[Any]:
        try:
            with self._using:
                return self._database.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise OutboxError(f"journal {self._path}: cannot be read ({error}).") from error

    def _row(self, event: StoredEvent) -> tuple[object, ...]:
        told = json.loads(event.body)
        # What a person says of a part belongs to no run, and to the time when it was said.
        self._captured = told.get("marked_time", told.get("capture_time", self._captured)) or rfc3339(time.time())
        # A gap stands under its last number: whoever asks from one within it on has to be told of it, too.
        seq = told.get("seq", told.get("last_seq", 0))
        run = told.get("boot_id", told.get("id"))
        return told["camera"], run, seq, event.topic, self._captured, seal(event.body)


def open_journal(settings: OutboxSettings) -> Journal | None:
    """Open the journal beside the outbox; None where none is kept. Raises OutboxError."""
    if settings.journal_events == 0:
        return None
    return Journal(settings.path.with_suffix(".journal.sqlite"), settings.journal_events)
