"""The history's writer: a thread of its own, so that nobody who judges waits for this disk.

What it cannot keep up with is dropped and counted; a file that takes nothing is reported and tried again, while the
inspection goes on.
"""

import logging
import queue
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import time as time_of_day

from core.database import journal_of
from core.files import identity
from runtime.events.event import JudgedPart
from runtime.evidence.settings import EvidenceSettings
from runtime.history.entry import Entry
from runtime.history.file import HistoryFile, add, clear, count, held
from runtime.history.marks import tally
from runtime.history.shifts import shift_start
from runtime.parts.verdict import Verdict
from runtime.threads.keeper import Keeper

log = logging.getLogger(__name__)
WAITING = 5000
"""Batches that may wait for the disk."""
WAITING_PARTS = 50_000
"""Their parts, of some kilobytes each: batches are as large as `batching.max_batch`."""
GATHER_S = 0.1
"""How long more is waited for before a transaction."""
RETRY_AFTER_S = 10.0
"""How long a file that failed is left alone."""
CLEARED_SHARE = 0.01
"""Of the bound, so much more is cleared than has to go, so that it is not done for every part."""
Waiting = Sequence[tuple[Entry, bytes, str]]
"""Of each part its entry, its event, and the id of the thresholds that it was judged by."""


class HistoryWriter(Keeper[Waiting]):
    """Writes on its own thread until `stop`; `add` belongs to whoever reports."""

    def __init__(self, settings: EvidenceSettings, shifts: Sequence[time_of_day]) -> None:
        """Write beside the evidence; nothing is touched on disk before the thread starts."""
        super().__init__("history", self._write_all, WAITING)
        self.file = HistoryFile(settings.folder)
        self._settings = settings
        self._shifts = shifts
        self._opened: Sequence[tuple[int, int] | None] = ()
        self._given, self._taken = 0, 0
        """Parts, by whoever reports and by the thread."""

    def add(self, judged: Iterable[tuple[JudgedPart, str, bytes]]) -> None:
        """Hand judged parts over, each with its event's id and body; no disk is waited for."""
        entries = [(_entry(part, event_id), body, part.thresholds.id) for part, event_id, body in judged]
        try:
            if self._given - self._taken + len(entries) > WAITING_PARTS:
                raise queue.Full
            self._waiting.put_nowait(entries)
            self._given += len(entries)
        except queue.Full:
            self.dropped += len(entries)

    def _write_all(self) -> None:
        is_last = False
        while not is_last:
            try:
                is_last = self._write_while_all_is_well()
            except (sqlite3.Error, OSError) as error:
                self._tell(error)
                until_s = time.monotonic() + RETRY_AFTER_S
                while not is_last and (left_s := until_s - time.monotonic()) > 0:
                    is_last = self._drop(left_s)

    def _write_while_all_is_well(self) -> bool:
        """Write until the end (True). Raises sqlite3.Error, OSError; what was under way is counted as dropped."""
        with self.file.writing() as database:
            number = held(database)
            self._opened = self._found()
            while True:
                batch, is_last = self._gather()
                try:
                    number = self._write(database, batch, number)
                except BaseException:
                    self.dropped += len(batch)
                    if is_last:
                        self._waiting.put_nowait(None)  # else the end would be waited for for ever
                    raise
                if batch and self.problem:
                    log.info('the history is written again file="%s" dropped=%d', self.file.path, self.dropped)
                    self.problem = ""
                if is_last:
                    return True

    def _gather(self) -> tuple[Waiting, bool]:
        """Wait for parts, and take all that come within GATHER_S; whether they are the last."""
        first = self._waiting.get()
        if first is None:
            return [], True
        time.sleep(GATHER_S)
        batch, is_last = list(first), False
        for _ in range(self._waiting.qsize()):
            more = self._waiting.get()
            if more is None:
                is_last = True
                break
            batch += more
        self._taken += len(batch)
        return batch, is_last

    def _write(self, database: sqlite3.Connection, batch: Waiting, before: int) -> int:
        """Write in one transaction, where there were `before` entries; returns how many there may be now."""
        if shutil.disk_usage(self.file.path.parent).free < self._settings.min_free_bytes:
            raise OSError("less is free on the disk than evidence.min_free_bytes")
        if self._found() != self._opened:  # SQLite would write on where nobody finds it
            # What the journal holds is of that file; one that has its name now must not be taken to have it.
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            raise OSError("somebody moved, removed or replaced it")
        most = self._settings.history_events
        with database:
            add(database, ((entry, body) for entry, body, _thresholds in batch))
            shifts = Counter(
                (shift_start(entry.at_s, self._shifts), entry.camera, entry.job or "", entry.verdict)
                for entry, _body, _thresholds in batch
            )
            count(database, shifts)
            tally(database, ((entry.camera, thresholds, entry.verdict) for entry, _body, thresholds in batch))
            after = before + len(batch)  # or less, where parts were judged again
            if after > most and (after := held(database)) > most:
                clear(database, after - most + int(most * CLEARED_SHARE))
                after = held(database)
        return after

    def _found(self) -> Sequence[tuple[int, int] | None]:
        """Give who has the names of the file and its journal now."""
        return [identity(name) for name in (self.file.path, journal_of(self.file.path))]

    def _tell(self, error: Exception) -> None:
        if not self.problem:
            log.error(
                'the history cannot be written file="%s" reason="%s" remedy="free the disk, check the permissions, or '
                'move a damaged file away; the inspection goes on, without a record of what it judges"',
                self.file.path,
                error,
            )
        self.problem = f"{self.file.path}: {error}"

    def _drop(self, timeout_s: float) -> bool:
        """Give up what comes within `timeout_s`; whether it was the end."""
        try:
            batch = self._waiting.get(timeout=timeout_s)
        except queue.Empty:
            return False
        self._taken += len(batch or ())
        self.dropped += len(batch or ())
        return batch is None


def _entry(judged: JudgedPart, event_id: str) -> Entry:
    part, judgement = judged.part, judged.judgement
    return Entry(
        id=event_id,
        at_s=part.captured.at_s,
        camera=part.camera,
        verdict=Verdict(judgement.verdict),
        margin=judgement.margin,
        part=part.part_id,
        job=judged.job.job_id,
        file=part.source,
        picture=judged.evidence.ref if judged.evidence else None,
        recipe=judged.job.recipe,
    )
