"""The history's file: a SQLite table of judged events beside the evidence, for whoever writes or looks back.

In WAL mode, so that no reader delays the writer. What a power cut takes of the last second is lost here alone:
the MES has it from the outbox.
"""

import json
import sqlite3
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Any

from core.database import Database
from runtime.history.entry import Entry, Wanted
from runtime.parts.verdict import Verdict

FILE = "history.sqlite"
BUSY_S = 5.0
"""How long another who writes is waited for."""
COUNTS_KEPT = 200_000
"""Counts, one a camera, verdict, job and shift."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    at_s REAL NOT NULL,
    camera TEXT NOT NULL,
    verdict INTEGER NOT NULL,
    margin REAL,
    part TEXT,
    job TEXT,
    file TEXT,
    picture TEXT,
    recipe TEXT
);
CREATE TABLE IF NOT EXISTS bodies (number INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TRIGGER IF NOT EXISTS forget_body AFTER DELETE ON events
    BEGIN DELETE FROM bodies WHERE number = OLD.number; END;
CREATE INDEX IF NOT EXISTS events_by_time ON events (at_s);
CREATE INDEX IF NOT EXISTS events_by_verdict ON events (verdict, at_s);
CREATE INDEX IF NOT EXISTS events_by_camera ON events (camera, at_s);
CREATE INDEX IF NOT EXISTS events_not_passed ON events (at_s) WHERE verdict <> 1;
CREATE INDEX IF NOT EXISTS events_not_passed_by_camera ON events (camera, at_s) WHERE verdict <> 1;
CREATE INDEX IF NOT EXISTS events_by_job ON events (job, at_s) WHERE job IS NOT NULL;
CREATE INDEX IF NOT EXISTS events_by_recipe ON events (recipe, at_s) WHERE recipe IS NOT NULL;
CREATE INDEX IF NOT EXISTS events_not_passed_by_recipe ON events (recipe, at_s) WHERE verdict <> 1;
CREATE INDEX IF NOT EXISTS events_by_part ON events (part) WHERE part IS NOT NULL;
CREATE INDEX IF NOT EXISTS events_by_file ON events (file) WHERE file IS NOT NULL;
CREATE TABLE IF NOT EXISTS counts (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    shift TEXT NOT NULL,
    camera TEXT NOT NULL,
    job TEXT NOT NULL,
    verdict INTEGER NOT NULL,
    parts INTEGER NOT NULL,
    UNIQUE (shift, camera, job, verdict)
);
CREATE INDEX IF NOT EXISTS counts_by_job ON counts (job, camera);
CREATE TABLE IF NOT EXISTS judged (
    camera TEXT NOT NULL,
    thresholds TEXT NOT NULL,
    verdict INTEGER NOT NULL,
    parts INTEGER NOT NULL,
    PRIMARY KEY (camera, thresholds, verdict)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS marks (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    event TEXT NOT NULL,
    was TEXT NOT NULL,
    by TEXT NOT NULL,
    note TEXT NOT NULL,
    at_s REAL NOT NULL,
    camera TEXT NOT NULL,
    thresholds TEXT NOT NULL,
    verdict INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS marks_by_event ON marks (event);
CREATE INDEX IF NOT EXISTS marks_by_thresholds ON marks (camera, thresholds);
"""
COLUMNS = "id, at_s, camera, verdict, margin, part, job, file, picture, recipe"
CLEAR_ORDER = (Verdict.OK, Verdict.UNDEFINED, Verdict.NOT_DECIDABLE, Verdict.NOT_OK)


class HistoryFile:
    """Where it is, for any thread: each call has a connection of its own."""

    def __init__(self, folder: Path) -> None:
        """The history beside the evidence in `folder`; nothing is touched yet."""
        self.path = folder / FILE

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Open or make the file, to write in transactions (`with database:`). Raises sqlite3.Error, OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self.path, timeout=BUSY_S, factory=Database)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            _add_recipes(database)
            database.executescript(SCHEMA)
            yield database
        finally:
            database.close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Open the file to look only. Raises sqlite3.Error where there is none."""
        database = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode=rw", timeout=BUSY_S, uri=True, factory=Database
        )
        try:
            database.execute("PRAGMA query_only = 1")
            yield database
        finally:
            database.close()

    def find(self, wanted: Wanted, limit: int, older_than: Entry | None = None) -> list[Entry]:
        """Give up to `limit` entries, the newest first.

        Raises sqlite3.Error where there is no history, or it cannot be read.
        """
        return self._select(wanted, "<", older_than, "DESC", limit)

    def next_newer(self, wanted: Wanted, than: Entry) -> Entry | None:
        """Give the next newer entry. Raises as `find`."""
        return next(iter(self._select(wanted, ">", than, "ASC", 1)), None)

    def get(self, event_id: str) -> tuple[Entry, dict[str, Any]] | None:
        """Give an entry and its event (see `event_of`); None where it is not known. Raises as `find`."""
        query = f"SELECT {COLUMNS}, number, body FROM events JOIN bodies USING (number) WHERE id = ?"  # noqa: S608
        with self.reading() as database:
            found = database.execute(query, (event_id,)).fetchone()
        return None if found is None else (_entry(found[:-1]), json.loads(zlib.decompress(found[-1])))

    def reasons(self, entries: Sequence[Entry]) -> dict[str, list[str]]:
        """Give why parts were not passed, by their events' ids. Raises as `find`."""
        found = {}
        with self.reading() as database:
            for entry in entries:
                row = database.execute("SELECT body FROM bodies WHERE number = ?", (entry.number,)).fetchone()
                found[entry.id] = json.loads(zlib.decompress(row[0]))["verdict"]["reason"] if row else []
        return found

    def of_shift(self, shift: str) -> dict[str, Counter[Verdict]]:
        """Count the parts of a shift by its start (see `shifts`), by camera. Raises as `find`."""
        query = "SELECT camera, verdict, SUM(parts) FROM counts WHERE shift = ? GROUP BY camera, verdict"
        found: dict[str, Counter[Verdict]] = {}
        with self.reading() as database:
            for camera, verdict, parts in database.execute(query, (shift,)):
                found.setdefault(camera, Counter())[Verdict(verdict)] = parts
        return found

    def of_job(self, camera: str, job: str) -> Counter[Verdict]:
        """Count a camera's parts of a job, in whatever shift. Raises as `find`."""
        query = "SELECT verdict, SUM(parts) FROM counts WHERE job = ? AND camera = ? GROUP BY verdict"
        with self.reading() as database:
            return Counter({Verdict(verdict): parts for verdict, parts in database.execute(query, (job, camera))})

    def _select(self, wanted: Wanted, side: str, than: Entry | None, order: str, limit: int) -> list[Entry]:
        conditions, values = wanted.conditions
        if than is not None:
            conditions, values = f"{conditions} AND (at_s, number) {side} (?, ?)", [*values, than.at_s, than.number]
        query = (
            f"SELECT {COLUMNS}, number FROM events WHERE {conditions} "  # noqa: S608
            f"ORDER BY at_s {order}, number {order} LIMIT ?"
        )
        with self.reading() as database:
            return [_entry(row) for row in database.execute(query, (*values, limit))]


def add(database: sqlite3.Connection, entries: Iterable[tuple[Entry, bytes]]) -> None:
    """Write entries with their events; one that is there already is replaced by its newer judgement."""
    for entry, body in entries:
        database.execute("DELETE FROM events WHERE id = ?", (entry.id,))
        new = f"INSERT INTO events ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
        number = database.execute(new, astuple(entry)[:-1]).lastrowid
        database.execute("INSERT INTO bodies VALUES (?, ?)", (number, zlib.compress(body, 1)))


def count(database: sqlite3.Connection, parts: Mapping[tuple[str, str, str, Verdict], int]) -> None:
    """Add to the counts of shift, camera, job (empty: none) and verdict."""
    database.executemany(
        "INSERT INTO counts (shift, camera, job, verdict, parts) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET parts = parts + excluded.parts",
        [(*what, number) for what, number in parts.items()],
    )
    database.execute("DELETE FROM counts WHERE number <= (SELECT MAX(number) FROM counts) - ?", (COUNTS_KEPT,))


def held(database: sqlite3.Connection) -> int:
    """How many entries there are."""
    found: tuple[int] = database.execute("SELECT COUNT(*) FROM events").fetchone()
    return found[0]


def clear(database: sqlite3.Connection, surplus: int) -> None:
    """Forget so many entries: the oldest OK first, NotOK last."""
    oldest = "SELECT number FROM events WHERE verdict = ? ORDER BY number LIMIT ?"
    for verdict in CLEAR_ORDER:
        gone = f"DELETE FROM events WHERE number IN ({oldest})"  # noqa: S608
        surplus -= database.execute(gone, (verdict, max(0, surplus))).rowcount


def _add_recipes(database: sqlite3.Connection) -> None:
    """Give the table of a file from before there were recipes its column: it knows none of its parts' recipes."""
    columns = [name for _number, name, *_others in database.execute("PRAGMA table_info(events)")]
    if columns and "recipe" not in columns:
        database.execute("ALTER TABLE events ADD COLUMN recipe TEXT")


def _entry(row: Sequence[Any]) -> Entry:
    event_id, at_s, camera, verdict, *others = row
    return Entry(event_id, at_s, camera, Verdict(verdict), *others)
