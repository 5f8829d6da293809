"""Evidence: pictures of what was not passed, on disk, with a thread of its own that writes them and clears old ones.

<folder>/<verdict>/<date>/<event id>.jpg is the part as the camera saw it, <event id>-map.jpg the same with the error
map and the failed tiles. Inference encodes nothing and waits for no disk: what the thread cannot keep up with is
dropped and counted, and a folder that takes no files is reported and tried again, while the inspection goes on.
"""

import logging
import queue
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

from core.timestamps import rfc3339
from runtime.events.event import EvidenceRef
from runtime.evidence.folder import EvidenceFolder
from runtime.evidence.part_picture import PartPicture
from runtime.evidence.settings import EvidenceSettings
from runtime.parts.verdict import Judgement, Verdict
from runtime.threads.keeper import Keeper
from runtime.threads.lifetime import MachineTime, machine_time

log = logging.getLogger(__name__)
WAITING, WAITING_BYTES = 64, 256_000_000
"""Pictures that may wait for the disk, and so many bytes of their frames."""
BYTES_A_PIXEL = 3
RETRY_AFTER_S = 10.0
"""How long a folder that failed is left alone."""
CLEAR_EVERY_S = 60.0
"""How often files are checked for their age while nothing is written."""


class Evidence(Keeper[tuple[PartPicture, int, str]]):
    """Writes and clears on its own thread until `stop`; `wants` and `offer` belong to the thread that judges."""

    def __init__(self, settings: EvidenceSettings, machine: MachineTime = machine_time) -> None:
        """Prepare; nothing is touched on disk before the thread starts."""
        super().__init__("evidence", self._keep, WAITING)
        self.written = 0
        """Pictures on disk since the start."""
        self._settings = settings
        self._taken_bytes, self._done_bytes = 0, 0
        self._folder = EvidenceFolder(settings, machine)
        self._ok_seen: Counter[str] = Counter()
        self._retry_s = 0.0

    def wants(self, camera: str, judgement: Judgement) -> bool:
        """Say whether a picture of this part is to be kept; counts the OK parts of each camera."""
        if judgement.verdict != Verdict.OK:
            return judgement.has_pixels
        self._ok_seen[camera] += 1
        every = self._settings.every_nth_ok
        return every > 0 and self._ok_seen[camera] % every == 0

    def offer(self, shown: PartPicture) -> EvidenceRef | None:
        """Hand a picture over. None where there is none, or it is dropped: its event says then that there is none."""
        part = shown.part
        if part.picture is None or part.size is None:
            return None
        size = BYTES_A_PIXEL * part.size[0] * part.size[1]
        held_bytes = self._taken_bytes - self._done_bytes
        is_full = self._waiting.full() or (held_bytes > 0 and held_bytes + size > WAITING_BYTES)
        if is_full or (self.problem and time.monotonic() < self._retry_s):
            self.dropped += 1
            return None
        day = rfc3339(part.captured.at_s)[:10]
        ref = f"{shown.judgement.verdict.word}/{day}/{shown.event_id}.jpg"
        self._taken_bytes += size
        self._waiting.put_nowait((shown, size, ref))
        return EvidenceRef(ref, "image/jpeg")

    def _keep(self) -> None:
        try:
            self._guarded(self._folder.take_stock)
            self._write_and_clear()
        finally:
            self._folder.keep_ages()

    def _write_and_clear(self) -> None:
        while True:
            try:
                item = self._waiting.get(timeout=CLEAR_EVERY_S)
            except queue.Empty:
                self._guarded(self._folder.take_stock if self.problem else self._folder.clear)
                continue
            if item is None:
                return
            shown, size, ref = item
            is_written = self._guarded(partial(self._folder.write, shown, ref))
            self._done_bytes += size
            if is_written:
                self.written += 1
            else:
                self.dropped += 1

    def _guarded(self, step: Callable[[], bool | None]) -> bool:
        """Do one step on disk; False where it fails, which is told once and not with every file, or says False."""
        try:
            is_done = step() is not False
        except OSError as error:
            self._retry_s = time.monotonic() + RETRY_AFTER_S
            if not self.problem:
                log.error(
                    'evidence cannot be written folder="%s" reason="%s" remedy="free the disk, check the permissions; '
                    'the inspection goes on, events say evidence: null"',
                    self._settings.folder,
                    error.strerror or error,
                )
            self.problem = f"{self._settings.folder}: {error.strerror or error}"
            return False
        if is_done and self.problem:
            log.info('evidence is written again folder="%s" dropped=%d', self._settings.folder, self.dropped)
            self.problem = ""
        return is_done
