"""The outbox: events on disk (SQLite, WAL) from the moment a part is judged until the broker has acknowledged it.

Added events survive a power cut (fsync at every commit); a removal may be forgotten by one, and the event is then sent
again with the same id. An event that has to go, to keep within the bounds, leaves a gap event in its place:
neighbouring gaps become one, and `seq` stays without holes for a reader. So does one that the disk gives back with
another byte in it: it is set aside in a table of its own, told, and never sent. Age is the machine's time (Lifetime).
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from runtime.outbox.file import OutboxFile
from runtime.outbox.fresh import Fresh
from runtime.outbox.gaps import give_up, set_aside
from runtime.outbox.room import require_room
from runtime.outbox.row import COLUMNS, NewEvent, Row, StoredEvent, gap_alone, new_row, read_row
from runtime.outbox.schema import (
    SCHEMA,
    bring_up_to_date,
    count,
    forget,
    forget_oldest,
    insert,
    is_remembered,
    learn,
    of_verdict,
    read_answers,
    read_lifetime,
    read_note,
    remember,
    remove,
    write_lifetime,
    write_notes,
)
from runtime.outbox.settings import OutboxSettings
from runtime.parts.verdict import Verdict
from runtime.threads.lifetime import Lifetime, MachineTime, machine_time

log = logging.getLogger(__name__)
DISCARD_ORDER = (Verdict.OK, Verdict.UNDEFINED, Verdict.NOT_DECIDABLE, Verdict.NOT_OK)
Notes = Mapping[str, bytes]
"""What is kept beside the events, by name."""
NO_NOTES: Notes = {}


class Outbox:
    """Stores, gives and removes events, for any thread, until `close`."""

    def __init__(
        self, bounds: OutboxSettings, clock: Callable[[], float] = time.time, machine: MachineTime = machine_time
    ) -> None:
        """Open or make the file. Raises OutboxError where it cannot be, or another process uses it."""
        self._bounds = bounds
        self._clock = clock
        self._writing = threading.Lock()
        self._file = OutboxFile(bounds.path)
        try:
            self._adding, self._removing = self._file.patiently(
                lambda: (self._file.connect("FULL"), self._file.connect("NORMAL"))
            )
            self._file.patiently(lambda: self._adding.executescript(SCHEMA))
            self._lifetime = Lifetime(self._file.patiently(lambda: read_lifetime(self._adding)), machine)
            self._file.patiently(lambda: bring_up_to_date(self._adding, self._lifetime.now_s(), clock()))
            self.depth, self.events, self._bytes, newest = self._file.patiently(lambda: count(self._adding))
            """How much waits, and how much of it is no gap."""
            self._fresh = Fresh(newest, newest)
            self._oldest_s = float("-inf")
            """No event that waits was stored earlier."""
            self._file.patiently(self._keep_lifetime)
        except BaseException:
            self._file.close()
            raise

    def add(self, letters: Sequence[NewEvent], notes: Notes = NO_NOTES) -> list[tuple[str, Verdict]]:
        """Store events (see `event_of`) and `notes`, in one transaction that is on disk when this returns.

        Returns camera and verdict of each event that had to go to keep within the bounds. Raises OutboxError where the
        disk does not take the events; none is stored then.
        """
        if not letters:
            return []
        with self._writing:
            self._require_room()
            return self._file.patiently(lambda: self._add(letters, notes))

    def require_room(self) -> None:
        """Raises OutboxError where `add` would: the disk is full, but for what letting go of events takes."""
        with self._writing:
            self._require_room()

    def begin(self) -> None:
        """Read from the disk what waits now, though it was stored a moment before: a reader begins with the oldest."""
        with self._writing:
            self._fresh = Fresh(self.newest, self.newest)

    def read(self, after: int, limit: int, without: Sequence[str] = ()) -> list[StoredEvent]:
        """Return up to `limit` events behind position `after`, in order, and none on the topics `without`.

        Fewer come where there are no more. What is damaged is set aside instead.
        """
        fresh = self._fresh.read(after, limit, without)
        if fresh is not None:
            return fresh
        events, room = list[StoredEvent](), limit
        while room:
            page = self._page(after, room, without)
            events += [StoredEvent(at, row.topic, row.stored_s, row.body) for at, row in page.items() if row]
            if len(page) < room:
                break
            # What was damaged beyond telling leaves room for what comes behind it.
            after, room = max(page), limit - len(events)
        return events

    def _page(self, after: int, limit: int, without: Sequence[str]) -> dict[int, Row | None]:
        others = f"AND topic NOT IN ({', '.join('?' * len(without))})" if without else ""
        query = f"SELECT position, {COLUMNS} FROM events WHERE position > ? {others} ORDER BY position LIMIT ?"  # noqa: S608
        rows = self._file.patiently(lambda: self._removing.execute(query, (after, *without, limit)).fetchall())
        found = {position: read_row(tuple(columns)) for position, *columns in rows}
        if damaged := [position for position, row in found.items() if row is None]:
            found |= self._set_aside(damaged)
        return found

    def remove(self, events: Sequence[StoredEvent]) -> None:
        """Forget events that the broker has acknowledged."""
        with self._writing:
            self._file.patiently(lambda: self._remove(events))

    def knows(self, cause: bytes) -> bool:
        """Say whether an event of this `cause` was stored already."""
        with self._writing:
            return self._file.patiently(lambda: is_remembered(self._adding, cause))

    def answers(self, cause: bytes) -> list[str]:
        """Give the ids of the events that the trigger of this `cause` got; none where they are not all stored."""
        return self._file.patiently(lambda: read_answers(self._removing, cause))

    def learn(self, cause: bytes) -> None:
        """Something of which an event was stored is known by this cause, too. Raises OutboxError."""
        self._change(lambda database: learn(database, cause))

    def forget(self, cause: bytes) -> None:
        """Nothing will come again of this cause, or of one that begins with it; what looks like it is new."""
        self._change(lambda database: forget(database, cause))

    def keep(self, notes: Notes) -> None:
        """Keep something small beside the events, by its name, over all runs. Raises OutboxError."""
        self._change(lambda database: write_notes(database, notes))

    def note(self, name: str) -> bytes | None:
        """Give what was kept; None where nothing was, or the disk gives back something else."""
        with self._writing:
            return self._file.patiently(lambda: read_note(self._adding, name))

    def age_s(self, event: StoredEvent) -> float:
        """How long an event has waited."""
        return max(0.0, self._lifetime.now_s() - event.stored_s)

    @property
    def path(self) -> Path:
        """Of its file, without links."""
        return self._file.path

    def look(self) -> None:
        """See now and then whether the file is where it was; `problem` says so. Returns at once."""
        self._file.look()

    @property
    def problem(self) -> str:
        """Why what waits may be lost when the station ends, in words; empty: nothing is."""
        return self._file.problem

    @property
    def newest(self) -> int:
        """The position of the last event that was stored."""
        return self._fresh.newest

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
            try:
                self._keep_lifetime()
            except sqlite3.Error as error:  # it only makes what waits look younger
                log.warning("outbox: the age of what waits could not be kept: %s", error)
            self._file.close()

    def _require_room(self) -> None:
        self._file.patiently(lambda: require_room(self.path, self._adding))

    def _change(self, change: Callable[[sqlite3.Connection], None]) -> None:
        def transaction() -> None:
            with self._adding as database:
                change(database)

        with self._writing:
            self._file.patiently(transaction)

    def _add(self, letters: Sequence[NewEvent], notes: Notes) -> list[tuple[str, Verdict]]:
        stored_s, stored_at_s = self._lifetime.now_s(), self._clock()
        with self._adding as database:
            write_notes(database, notes)
            newest = insert(database, [new_row(letter, stored_s) for letter in letters], stored_at_s)
            for letter in letters:
                remember(database, letter)
            depth, events = self.depth + len(letters), self.events + len(letters)
            size = self._bytes + sum(len(letter.body) for letter in letters)
            discarded: list[tuple[str, Verdict]] = []
            going, oldest_s = self._surplus(events, size, stored_s)
            for position, camera, verdict, length in going:
                depth -= give_up(database, position, stored_s, stored_at_s)
                discarded.append((camera, verdict))
                events, size = events - 1, size - length
            if self._lifetime.is_due:
                write_lifetime(database, self._lifetime.keep())
                forget_oldest(database)
        positions = range(newest - len(letters) + 1, newest + 1)
        new = [StoredEvent(at, each.topic, stored_s, each.body) for at, each in zip(positions, letters, strict=True)]
        self._fresh = Fresh(newest, newest) if going else self._fresh.with_new(new)
        self.depth, self.events, self._bytes = depth, events, size
        self._oldest_s = oldest_s
        return discarded

    def _remove(self, taken: Sequence[StoredEvent]) -> None:
        positions = [event.position for event in taken]
        with self._removing as database:
            depth, events, size = remove(database, positions, [event.body for event in taken])
            if depth < len(taken):
                # Given up on its way, it left its gap. One that tells of others, too, stays: they may not have come.
                gaps = remove(database, positions, [gap_alone(event) for event in taken])
                depth, events, size = depth + gaps[0], events + gaps[1], size + gaps[2]
        self._fresh = self._fresh.without(set(positions))
        self.depth, self.events, self._bytes = self.depth - depth, self.events - events, self._bytes - size

    def _surplus(self, events: int, size: int, now_s: float) -> tuple[list[tuple[int, str, Verdict, int]], float]:
        """List events that must go (position, camera, verdict, bytes), too old or by DISCARD_ORDER; and `_oldest_s`."""
        oldest_s = now_s - self._bounds.max_age_s
        if events <= self._bounds.max_events and size <= self._bounds.max_bytes and oldest_s <= self._oldest_s:
            return [], self._oldest_s
        going, staying_s = [], now_s
        for verdict in DISCARD_ORDER:
            for position, camera, length, stored_s in of_verdict(self._adding, verdict):
                is_too_many = events > self._bounds.max_events or size > self._bounds.max_bytes
                if not (is_too_many or (isinstance(stored_s, float) and stored_s < oldest_s)):
                    staying_s = min(staying_s, stored_s) if isinstance(stored_s, float) else staying_s
                    break
                going.append((position, bytes(camera or b"").decode(errors="replace"), verdict, length))
                events, size = events - 1, size - length
        return going, staying_s

    def _set_aside(self, positions: Sequence[int]) -> dict[int, Row | None]:
        """Put gaps in the places of damaged rows; None, and nothing, where not even its number is known any more."""

        def change() -> dict[int, Row | None]:
            now_s, now_at_s = self._lifetime.now_s(), self._clock()
            with self._adding as database:
                return {position: set_aside(database, position, now_s, now_at_s) for position in positions}

        with self._writing:
            gaps = self._file.patiently(change)
            self._fresh = Fresh(self.newest, self.newest)
            self.depth, self.events, self._bytes = count(self._adding)[:3]  # it takes its time where much waits
        return gaps

    def _keep_lifetime(self) -> None:
        with self._adding as database:
            write_lifetime(database, self._lifetime.keep())
