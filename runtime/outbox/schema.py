"""The outbox's tables, and how a file of an older version gets them: nothing is lost with an update."""

import json
import logging
import sqlite3
from collections.abc import Iterator, Mapping, Sequence

from runtime.outbox.row import COLUMNS, GAP, NewEvent, Row, read_row, seal, sealed_gap, unseal
from runtime.threads.lifetime import Kept

log = logging.getLogger(__name__)
SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    camera TEXT NOT NULL,
    verdict INTEGER NOT NULL,
    stored_at_s REAL NOT NULL,
    body BLOB NOT NULL,
    stored_s REAL NOT NULL DEFAULT 0,
    gap BLOB NOT NULL DEFAULT x'',
    digest BLOB NOT NULL DEFAULT x''
);
CREATE INDEX IF NOT EXISTS events_by_verdict ON events (verdict, position);
CREATE TABLE IF NOT EXISTS damaged (position INTEGER, topic, camera, verdict, stored_at_s, body);
CREATE TABLE IF NOT EXISTS causes (number INTEGER PRIMARY KEY, cause BLOB NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS answers (number INTEGER PRIMARY KEY, cause BLOB NOT NULL, event TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS answers_by_cause ON answers (cause);
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, body BLOB NOT NULL);
"""
FIRST_COLUMNS = {"position", "topic", "camera", "verdict", "stored_at_s", "body"}
"""Of `events`, in every version."""
BESIDE = {"damaged", "causes"}
"""Tables that nobody else has together."""
LIFETIME = "lifetime"
"""The note that says how old what waits is."""
CLOCK_WAS_SET_AT_S = 1_577_836_800.0
"""2020: a clock that tells an earlier time has not been set since the machine was switched on."""
ADDED = {
    "stored_s": "REAL NOT NULL DEFAULT 0",
    "gap": "BLOB NOT NULL DEFAULT x''",
    "digest": "BLOB NOT NULL DEFAULT x''",
}
CAUSES_KEPT = 200_000
"""What was judged is remembered for so many files and triggers."""
ANSWERS_KEPT = 10_000
"""A trigger that is sent again is known by so many events: fewer than there are ids where a PLC counts in 16 bits."""
TOGETHER = 100
"""Rows of one statement: each statement lets other threads run first, and one a row is most of what a row costs."""
IS_EVENT = f"verdict <> {GAP}"
COUNTS = f"COUNT(*), COALESCE(SUM({IS_EVENT}), 0), COALESCE(SUM(LENGTH(body)) FILTER (WHERE {IS_EVENT}), 0)"
VALUES = "topic, camera, verdict, stored_at_s, body, stored_s, gap, digest"


def require_ours(database: sqlite3.Connection) -> None:
    """Raises sqlite3.DatabaseError where the file is a database of something else, or its `events` is damaged."""
    named = database.execute("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite!_%' ESCAPE '!'")
    tables = {name for (name,) in named}
    columns = {column[1] for column in database.execute("PRAGMA table_info(events)")}
    if tables and not columns.issuperset(FIRST_COLUMNS):
        is_ours = tables.issuperset(BESIDE)
        found = sqlite3.DatabaseError("its table `events` is damaged" if is_ours else "a database of something else")
        found.sqlite_errorcode = sqlite3.SQLITE_CORRUPT if is_ours else sqlite3.SQLITE_NOTADB
        raise found


def waiting(database: sqlite3.Connection) -> int:
    """Say how many events there are; none where there is not even their table."""
    return count(database)[1] if database.execute("PRAGMA table_info(events)").fetchone() else 0


def insert(database: sqlite3.Connection, rows: Sequence[Row], stored_at_s: float) -> int:
    """Write rows behind all others, in order; returns where the last stands."""
    last = 0
    for start in range(0, len(rows), TOGETHER):
        some = rows[start : start + TOGETHER]
        places = ", ".join(["(?, ?, ?, ?, ?, ?, ?, ?)"] * len(some))
        new = f"INSERT INTO events ({VALUES}) VALUES {places}"  # noqa: S608
        last = database.execute(new, [each for row in some for each in _values(row, stored_at_s)]).lastrowid or 0
    return last


def remove(database: sqlite3.Connection, positions: Sequence[int], bodies: Sequence[bytes]) -> tuple[int, int, int]:
    """Forget what stands at `positions` and is one of `bodies`; returns how many rows, events, and bytes of events."""
    rows = events = size = 0
    for start in range(0, len(positions), TOGETHER):
        some = (*positions[start : start + TOGETHER], *bodies[start : start + TOGETHER])
        places = ", ".join("?" * (len(some) // 2))
        those = f"FROM events WHERE position IN ({places}) AND body IN ({places})"
        found = database.execute(f"SELECT {COUNTS} {those}", some).fetchone()
        database.execute(f"DELETE {those}", some)
        rows, events, size = rows + found[0], events + found[1], size + found[2]
    return rows, events, size


def count(database: sqlite3.Connection) -> tuple[int, int, int, int]:
    """Say how many rows there are, how many of them events, of how many bytes, and the last position."""
    counts = database.execute(f"SELECT {COUNTS}, COALESCE(MAX(position), 0) FROM events").fetchone()  # noqa: S608
    return counts[0], counts[1], counts[2], counts[3]


def of_verdict(database: sqlite3.Connection, verdict: int) -> Iterator[tuple[int, bytes | None, int, object]]:
    """Give a verdict's events, the oldest first: position, camera, bytes, when it was stored; as the disk has them."""
    columns = "position, CAST(camera AS BLOB), COALESCE(LENGTH(body), 0), stored_s"
    return database.execute(f"SELECT {columns} FROM events WHERE verdict = ? ORDER BY position", (verdict,))  # noqa: S608


def row_at(database: sqlite3.Connection, position: int) -> Row | None:
    """Read one row; None where it is damaged."""
    found = database.execute(f"SELECT {COLUMNS} FROM events WHERE position = ?", (position,)).fetchone()  # noqa: S608
    return read_row(found) if found else None


def replace(database: sqlite3.Connection, row: Row, stored_at_s: float, position: int) -> None:
    """Write a row in the place of another."""
    change = f"UPDATE events SET ({VALUES}) = (?, ?, ?, ?, ?, ?, ?, ?) WHERE position = ?"  # noqa: S608
    database.execute(change, (*_values(row, stored_at_s), position))


def bring_up_to_date(database: sqlite3.Connection, now_s: float, now_at_s: float) -> None:
    """Give the rows of an older version what they lack. They are as old as the clock says, by which they were stored.

    `now_s` is the outbox's own count, `now_at_s` the clock's.
    """
    has = {column[1] for column in database.execute("PRAGMA table_info(events)")}
    if has.issuperset(ADDED):
        return
    with database:
        database.execute("BEGIN IMMEDIATE")
        for column, kind in ADDED.items():
            database.execute(f"ALTER TABLE events ADD COLUMN {column} {kind}")
        columns = "position, CAST(topic AS BLOB), CAST(camera AS BLOB), verdict, stored_at_s, body"
        for position, topic, camera, verdict, stored_at_s, body in database.execute(
            f"SELECT {columns} FROM events"  # noqa: S608
        ).fetchall():
            try:
                name = topic.decode()
                gap = b"" if verdict == GAP else sealed_gap(name, body)
                stored_s = now_s - _believable_age_s(stored_at_s, now_at_s)
                replace(database, Row(name, camera.decode(), verdict, stored_s, gap, body), stored_at_s, position)
            except (ValueError, TypeError, AttributeError):
                continue  # damaged before: it is set aside when it is read


def read_lifetime(database: sqlite3.Connection) -> Kept | None:
    """Give the age of what waits as it was kept last; where that is damaged it begins again, and nothing looks old."""
    note = read_note(database, LIFETIME)
    return _lifetime_of_before(database) if note is None else Kept(*json.loads(note))


def write_lifetime(database: sqlite3.Connection, kept: Kept) -> None:
    """Keep the age of what waits."""
    write_notes(database, {LIFETIME: json.dumps([kept.boot, kept.since_boot_s, kept.lived_s]).encode()})
    database.execute("DROP TABLE IF EXISTS lifetime")


def _lifetime_of_before(database: sqlite3.Connection) -> Kept | None:
    """Give what stood in a table of its own before it was a note; None where there is none, or it is damaged."""
    if not database.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'lifetime'").fetchone():
        return None
    found = database.execute("SELECT boot, since_boot_s, lived_s FROM lifetime").fetchone()
    kinds = (str, float, float)
    if found is None or not all(isinstance(value, kind) for value, kind in zip(found, kinds, strict=True)):
        return None
    return Kept(*found)


def _believable_age_s(stored_at_s: object, now_at_s: float) -> float:
    """Say how long ago that was; 0 where the clock had not been set, or damage says that it is still to come."""
    if not isinstance(stored_at_s, float) or not CLOCK_WAS_SET_AT_S <= stored_at_s <= now_at_s:
        return 0.0
    return now_at_s - stored_at_s


def read_note(database: sqlite3.Connection, name: str) -> bytes | None:
    """Give what was noted; None where nothing was, or it is damaged, which is told."""
    found = database.execute("SELECT body FROM notes WHERE name = ?", (name,)).fetchone()
    note = unseal(found[0]) if found else None
    if found and note is None:
        log.error("outbox: a note came back damaged from the disk, and counts as none name=%s", name)
    return note


def write_notes(database: sqlite3.Connection, notes: Mapping[str, bytes]) -> None:
    """Note things, each by its name."""
    for name, body in notes.items():
        database.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, seal(body)))


def remember(database: sqlite3.Connection, event: NewEvent) -> None:
    """Keep what `event` was told because of, and whom it answers."""
    if event.cause is not None:
        learn(database, event.cause)
    if event.answer is not None:
        database.execute("INSERT INTO answers (cause, event) VALUES (?, ?)", event.answer)


def learn(database: sqlite3.Connection, cause: bytes) -> None:
    """Count `cause` among those of which events were stored."""
    database.execute("INSERT OR IGNORE INTO causes (cause) VALUES (?)", (cause,))


def is_remembered(database: sqlite3.Connection, cause: bytes) -> bool:
    """Say whether an event of this `cause` was stored."""
    return database.execute("SELECT 1 FROM causes WHERE cause = ?", (cause,)).fetchone() is not None


def forget(database: sqlite3.Connection, cause: bytes) -> None:
    """Forget `cause`, and those that begin with it; nothing is written where none is remembered."""
    those = "FROM causes WHERE cause BETWEEN ? AND ?"
    between = cause, cause + b"\xff"
    if database.execute(f"SELECT 1 {those}", between).fetchone() is not None:
        database.execute(f"DELETE {those}", between)


def read_answers(database: sqlite3.Connection, cause: bytes) -> list[str]:
    """Give the ids of the events that the trigger of this `cause` got; none where they are not all stored."""
    query = """SELECT event FROM answers WHERE cause = ? AND number > (SELECT MAX(number) FROM answers) - ?
        AND EXISTS (SELECT 1 FROM causes WHERE causes.cause = answers.cause) ORDER BY number"""
    return [event for (event,) in database.execute(query, (cause, ANSWERS_KEPT)).fetchall()]


def forget_oldest(database: sqlite3.Connection) -> None:
    """Keep within the bounds what is remembered of files and triggers."""
    for table, kept in (("causes", CAUSES_KEPT), ("answers", ANSWERS_KEPT)):
        oldest = f"DELETE FROM {table} WHERE number <= (SELECT MAX(number) FROM {table}) - ?"  # noqa: S608
        database.execute(oldest, (kept,))


def _values(row: Row, stored_at_s: float) -> tuple[object, ...]:
    return row.topic, row.camera, row.verdict, stored_at_s, row.body, row.stored_s, row.gap, row.digest
