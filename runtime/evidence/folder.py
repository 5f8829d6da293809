"""The folder of evidence: what lies in it, how old it is, and what has to go."""

import contextlib
import logging
import shutil
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import cv2

from core.errors import DataError, one_line
from core.files import write_whole
from runtime.evidence.ages import Ages
from runtime.evidence.overlay import draw, jpeg
from runtime.evidence.part_picture import PartPicture
from runtime.evidence.settings import EvidenceSettings
from runtime.parts.verdict import Verdict
from runtime.threads.lifetime import MachineTime

log = logging.getLogger(__name__)
CLEAR_ORDER = (Verdict.OK, Verdict.NOT_DECIDABLE, Verdict.NOT_OK)
"""Which files go first when there are too many bytes."""


@dataclass(frozen=True)
class _File:
    path: Path
    written_s: float
    """By the folder's Ages."""
    size: int

    @property
    def day(self) -> str:
        """Its folder, of a verdict and a day."""
        return f"{self.path.parent.parent.name}/{self.path.parent.name}"


class EvidenceFolder:
    """Writes pictures and clears old ones. Belongs to one thread; what fails on disk raises OSError."""

    def __init__(self, settings: EvidenceSettings, machine: MachineTime) -> None:
        """Nothing is touched on disk before the first `take_stock`."""
        self._settings = settings
        self._machine = machine
        self._ages: Ages | None = None
        self._files: dict[Verdict, deque[_File]] = {}
        """Of each verdict, the oldest first; empty before the first `take_stock`."""
        self._bytes = 0
        self._odd = ""
        """Why a picture could not be written that the disk would have taken, as it was told last."""

    def keep_ages(self) -> None:
        """Keep on disk how old everything is. A failure only makes what is kept look younger."""
        if self._ages is not None:
            with contextlib.suppress(OSError):
                self._ages.keep()

    def take_stock(self) -> None:
        """Find what earlier runs left, and clear of it what has to go. A disk that is too full is told after that."""
        self._settings.folder.mkdir(parents=True, exist_ok=True)
        ages = self._ages = self._ages or Ages(self._settings.folder, self._machine)
        files = {}
        for verdict in CLEAR_ORDER:
            for part in (self._settings.folder / verdict.word).glob("*/.*.jpg.part"):  # a kill cut its writing off
                part.unlink(missing_ok=True)
            found = []
            for path in (self._settings.folder / verdict.word).glob("*/*.jpg"):
                if not path.is_file():  # a folder or link of somebody's, or one that is gone by now
                    continue
                facts = path.stat()
                day = f"{verdict.word}/{path.parent.name}"
                found.append((ages.of(day), facts.st_mtime, _File(path, ages.of(day), facts.st_size)))
            files[verdict] = deque(file for _age, _time, file in sorted(found, key=lambda each: each[:2]))
        self._files = files
        self._bytes = sum(file.size for each in files.values() for file in each)
        self._make_room()

    def write(self, shown: PartPicture, ref: str) -> bool:
        """Write a picture as `ref`, below the folder, and the same with its error map; then clear.

        False where nothing can be written of this one, which is told.
        """
        try:
            contents = self._encoded(shown)
        except (DataError, cv2.error, MemoryError) as error:
            if one_line(error) != self._odd:
                self._odd = one_line(error)
                log.error("a picture cannot be kept event=%s reason=%r", shown.event_id, self._odd)
            return False
        if not self._files:  # the disk did not let it be done at the start
            self.take_stock()
        self._make_room()
        ages = self._ages = self._ages or Ages(self._settings.folder, self._machine)
        written_s = ages.wrote(ref.rpartition("/")[0])
        path = self._settings.folder / ref
        path.parent.mkdir(parents=True, exist_ok=True)
        for file, content in zip((path, path.with_stem(f"{path.stem}-map")), contents, strict=False):
            write_whole(file, content)
            self._files[shown.judgement.verdict].append(_File(file, written_s, len(content)))
            self._bytes += len(content)
        self.clear()
        return True

    def _encoded(self, shown: PartPicture) -> list[bytes]:
        """Give the picture and the same with its error map; nothing of a part without one, which `offer` leaves out."""
        pixels_bgr_u8 = shown.part.pixels_bgr_u8
        if pixels_bgr_u8 is None:
            return []
        return [jpeg(pixels_bgr_u8, self._settings.jpeg_quality), jpeg(draw(pixels_bgr_u8, shown))]

    def _make_room(self) -> None:
        """Evidence must not take the last bytes, which the outbox needs, nor wait with what is too old for more.

        Raises OSError.
        """
        self._settings.folder.mkdir(parents=True, exist_ok=True)
        self.clear()
        free = shutil.disk_usage(self._settings.folder).free
        if free < self._settings.min_free_bytes:
            raise OSError(f"only {free} bytes free, evidence.min_free_bytes is {self._settings.min_free_bytes}")

    def clear(self) -> None:
        """Delete what is too old, then what is too much by CLEAR_ORDER."""
        oldest_s = self._ages.now_s() - self._settings.max_age_s if self._ages else float("-inf")
        for files in self._files.values():
            while files and files[0].written_s < oldest_s:
                self._remove_first(files)
        for files in self._files.values():
            while files and self._bytes > self._settings.max_bytes:
                self._remove_first(files)

    def _remove_first(self, files: deque[_File]) -> None:
        file = files[0]
        file.path.unlink(missing_ok=True)
        files.popleft()
        self._bytes -= file.size
        if not files or files[0].path.parent != file.path.parent:
            with contextlib.suppress(OSError):  # not empty after all, or already gone
                file.path.parent.rmdir()
                if self._ages is not None:
                    self._ages.forget(file.day)
