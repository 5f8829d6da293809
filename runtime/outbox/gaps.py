"""Gaps: what stands in the outbox in the place of an event that had to go, or that the disk gave back damaged."""

import logging
import sqlite3

from runtime.events.gap import joined_gap
from runtime.outbox.row import GAP, Row, gap_row
from runtime.outbox.schema import replace, row_at

log = logging.getLogger(__name__)


def give_up(database: sqlite3.Connection, position: int, now_s: float, now_at_s: float) -> int:
    """Put a gap in the place of an event, joined with the gaps beside it. Returns how many rows that leaves less.

    A joined gap takes the last of the places: it is read, where one of the first is on its way to the broker.
    `now_s` is the outbox's own count, `now_at_s` the clock's.
    """
    row = row_at(database, position) or _replacement(database, position, now_s)
    told = row if row is None or row.is_gap else gap_row(row, row.gap)
    if told is None:
        database.execute("DELETE FROM events WHERE position = ?", (position,))
        return 1
    gap, places = told.body, [position]
    for way in ("position < ? ORDER BY position DESC", "position > ? ORDER BY position"):
        beside = f"SELECT position FROM events WHERE verdict = ? AND camera = ? AND {way} LIMIT 1"  # noqa: S608
        found = database.execute(beside, (GAP, told.camera, position)).fetchone()
        neighbour = row_at(database, found[0]) if found else None
        if neighbour is not None and (joined := joined_gap(neighbour.body, gap)):
            gap = joined
            places.append(found[0])
    replace(database, Row(told.topic, told.camera, GAP, told.stored_s, b"", gap), now_at_s, max(places))
    others = [(place,) for place in places if place != max(places)]
    database.executemany("DELETE FROM events WHERE position = ?", others)
    return len(places) - 1


def set_aside(database: sqlite3.Connection, position: int, now_s: float, now_at_s: float) -> Row | None:
    """Put a gap in the place of a damaged row; None, and nothing, where not even its number is known any more."""
    if (row := row_at(database, position)) is not None:  # mended, or given up meanwhile
        return row
    gap = _replacement(database, position, now_s)
    if gap is None:
        database.execute("DELETE FROM events WHERE position = ?", (position,))
    else:
        replace(database, gap, now_at_s, position)
    return gap


def _replacement(database: sqlite3.Connection, position: int, now_s: float) -> Row | None:
    """Keep a damaged row where nobody sends it, say so, and give the gap row that is told in its place."""
    columns = "topic, camera, verdict, stored_at_s, body"
    database.execute(
        f"INSERT INTO damaged SELECT position, {columns} FROM events WHERE position = ?",  # noqa: S608
        (position,),
    )
    (sealed,) = database.execute("SELECT gap FROM events WHERE position = ?", (position,)).fetchone() or (b"",)
    gap = gap_row(Row("", "", GAP, now_s, b"", b""), sealed)
    path = database.execute("PRAGMA database_list").fetchone()[2]
    log.error(
        "outbox: an event came back damaged from the disk and is not sent position=%d told_as_gap=%s "
        "kept_in='table damaged of %s' remedy='look at the disk'",
        *(position, gap is not None, path),
    )
    return gap
