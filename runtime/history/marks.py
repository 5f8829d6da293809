"""Marks: what people say of judged parts afterwards, and what follows of it. Beside the history, in the same file.

A mark outlives its event, which the history may have to forget; a later mark of the same part counts in place of the
earlier, which is kept.
"""

import json
import sqlite3
import time
import uuid
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.confidence import Interval, wilson
from core.datasets.remarks import Truth
from core.thresholds import Thresholds
from runtime.events.origin import NAMESPACE
from runtime.history.file import HistoryFile
from runtime.parts.verdict import Verdict

NEWEST = "number IN (SELECT MAX(number) FROM marks GROUP BY event)"


@dataclass(frozen=True)
class Mark:
    """What somebody said of one judged part."""

    event: str
    """The id of its event."""
    was: Truth
    by: str
    note: str
    at_s: float
    """Unix time of the mark."""
    body: dict[str, Any]
    """The part's event (see `event_of`)."""
    number: int
    """Counts the marks of all parts."""

    @property
    def id(self) -> str:
        """The same however often it is told."""
        return str(uuid.uuid5(NAMESPACE, f"{self.event}/mark/{self.number}"))


@dataclass(frozen=True)
class Rate:
    """A share of parts as people tell it."""

    parts: float
    """Of so many; where only some of the rejected parts were looked at, so many of the passed as go with them."""
    found: int
    interval: Interval
    """With 95 % confidence; 0 to 1 where there are no parts."""

    @property
    def value(self) -> float | None:
        """None where there are no parts."""
        return self.found / self.parts if self.parts else None


@dataclass(frozen=True)
class Reviewed:
    """What people say of one camera's parts under the thresholds in force, beside what these promise."""

    false_rejects: Rate
    """Of the good parts. It holds where the rejected parts that people look at are chosen without regard to them."""
    misses: Rate
    """Of the bad parts that people know of; those that nobody found are not in it."""
    rejected: int
    """Parts that were judged NotOK."""
    looked_at: int
    """How many of them were marked."""
    promised: float
    """The share of good parts that the thresholds may reject."""


def add_mark(file: HistoryFile, event: str, was: Truth, by: str, note: str) -> Mark | None:
    """Keep a mark; None where the event is not known. Raises sqlite3.Error, OSError."""
    found = file.get(event)
    if found is None:
        return None
    _entry, body = found
    at_s = time.time()
    row = (event, was, by, note, at_s, body["camera"], body["thresholds_id"], body["verdict"]["code"])
    with file.writing() as database, database:
        columns = "event, was, by, note, at_s, camera, thresholds, verdict, body"
        new = f"INSERT INTO marks ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
        number = database.execute(new, (*row, zlib.compress(json.dumps(body).encode()))).lastrowid or 0
    return Mark(event, was, by, note, at_s, body, number)


def marks(file: HistoryFile) -> list[Mark]:
    """Give the newest mark of each part, the oldest first; none where there is no history. Raises sqlite3.Error."""
    query = f"SELECT event, was, by, note, at_s, body, number FROM marks WHERE {NEWEST} ORDER BY number"  # noqa: S608
    if not file.path.exists():
        return []
    with file.writing() as database:
        return [_mark(row) for row in database.execute(query)]


def marks_of(file: HistoryFile, event: str) -> list[Mark]:
    """Give all marks of a part, the newest first, which is the one that counts. Raises sqlite3.Error."""
    query = "SELECT event, was, by, note, at_s, body, number FROM marks WHERE event = ? ORDER BY number DESC"
    with file.reading() as database:
        return [_mark(row) for row in database.execute(query, (event,))]


def errors_of_good(file: HistoryFile, camera: str, model_sha256: str) -> NDArray[np.float64]:
    """Give the errors (M, K + 1) of a camera's parts that were good, as people say, and that this model judged.

    Raises sqlite3.Error.
    """
    bodies = [mark.body for mark in marks(file) if mark.was == Truth.GOOD]
    mine = (body for body in bodies if body["camera"] == camera and body["model"]["sha256"] == model_sha256)
    return np.array(
        [[body["score"]["value"], *(tile["value"] for tile in body["tiles"])] for body in mine if body["score"]]
    )


def reviewed(file: HistoryFile, camera: str, thresholds: Thresholds) -> Reviewed:
    """Say what follows of a camera's marks under these thresholds. Raises sqlite3.Error where there is no history."""
    marked = (
        "SELECT verdict, was, COUNT(*) FROM marks "  # noqa: S608
        f"WHERE camera = ? AND thresholds = ? AND {NEWEST} GROUP BY 1, 2"
    )
    judged = "SELECT verdict, parts FROM judged WHERE camera = ? AND thresholds = ?"
    with file.reading() as database:
        rows = database.execute(marked, (camera, thresholds.id))
        said = {(Verdict(verdict), was): count for verdict, was, count in rows}
        parts = dict(database.execute(judged, (camera, thresholds.id)))
    false, true = (said.get((Verdict.NOT_OK, was), 0) for was in Truth)
    missed = said.get((Verdict.OK, Truth.BAD), 0)
    rejected, passed = parts.get(Verdict.NOT_OK, 0), max(0, parts.get(Verdict.OK, 0) - missed)
    looked_at = false + true
    # Who looks at a share of the rejected parts has seen the same share of the line.
    good = false + passed * min(1.0, looked_at / rejected) if rejected else float(passed)
    promised = thresholds.false_reject_rate
    return Reviewed(_rate(false, good), _rate(missed, missed + true), rejected, looked_at, promised)


def tally(database: sqlite3.Connection, judged: Iterable[tuple[str, str, Verdict]]) -> None:
    """Count judged parts, of each the camera, the id of the thresholds that it was judged by, and the verdict."""
    database.executemany(
        "INSERT INTO judged (camera, thresholds, verdict, parts) VALUES (?, ?, ?, 1) "
        "ON CONFLICT DO UPDATE SET parts = parts + 1",
        judged,
    )


def _mark(row: tuple[Any, ...]) -> Mark:
    event, was, by, note, at_s, body, number = row
    return Mark(event, Truth(was), by, note, at_s, json.loads(zlib.decompress(body)), number)


def _rate(found: int, parts: float) -> Rate:
    return Rate(parts, found, wilson(found, parts) if parts else (0.0, 1.0))
