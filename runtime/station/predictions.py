"""Predictions: pictures that come by HTTP are judged in rows of the line's own batches, and told to nobody else."""

import time
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from queue import Empty, SimpleQueue

import cv2

from core.errors import DataError
from core.pictures.picture import as_bgr_u8
from core.pictures.picture_file import decode
from core.pictures.picture_header import PictureFault
from runtime.batching.filling import fill
from runtime.batching.fitting import fit_on_cpu
from runtime.events.encoding import stamp
from runtime.parts.frame import FileMark, Frame
from runtime.parts.moment import Moment
from runtime.parts.verdict import Reason
from runtime.station.inspection import Inspection
from runtime.view.desk import BusyError

LARGEST_PIXELS = 2**26
"""8,192 x 8,192."""
WAIT_S = 10.0
"""For a row, and for its verdict, each: a request does not wait for ever."""


class Predictions:
    """Judges pictures, one after the other, by the model in use. For any thread but the one that judges."""

    def __init__(self, inspection: Inspection) -> None:
        """Judge as `inspection` does."""
        self._settings = inspection.settings
        self._assigner = inspection.loop.assign
        self._loop = inspection.loop

    def predict(self, data: bytes, camera: str | None, recipe: str | None) -> bytes:
        """See Judges."""
        stream = self._stream(camera)
        try:
            pixels = as_bgr_u8(decode(data, LARGEST_PIXELS), self._assigner.asked(stream, recipe).seen.bits)
        except (DataError, cv2.error, MemoryError) as error:
            raise PictureFault(str(error)) from error
        if why := self._loop.pause or self._loop.models.recovery.problem:
            raise BusyError(f"nothing is judged now: {why}")
        identity = blake2b(data, digest_size=16).hexdigest()
        frame = Frame(pixels, Moment.now(), mark=FileMark(identity))
        answers = self._put(frame, stream, recipe)
        if answers is None:
            raise BusyError("nothing is judged now; ask again.")
        try:
            return stamp(answers.get(timeout=WAIT_S), time.time(), replayed=False)
        except Empty:
            raise BusyError("not judged in time; ask again.") from None

    def _stream(self, camera: str | None) -> str:
        streams = self._settings.streams
        chosen = camera or (next(iter(streams)) if len(streams) == 1 else None)
        if chosen not in streams:
            raise LookupError(f"`camera`: one of {', '.join(streams)}")
        return chosen

    def _put(self, frame: Frame, stream: str, recipe: str | None) -> SimpleQueue[bytes] | None:
        """Put the picture into a row, in its turn among the cameras; gives where its event comes; None: no row."""
        batcher, settings = self._loop.batcher, self._settings.streams[stream]
        regions = self._settings.regions
        row = (
            None if batcher is None else batcher.claim(partial(self._assigner.asked, stream, recipe), timeout_s=WAIT_S)
        )
        if batcher is None or row is None:
            return None
        answers = SimpleQueue[bytes]()
        # Without a fault of its own, so that a row that is claimed is always handed over.
        part = fill(row.task, row.pixels, replace(frame, pixels_u8=None, fault=Reason.UNREADABLE), settings, None)
        try:
            part = fill(replace(row.task, fit=fit_on_cpu), row.pixels, frame, settings, regions[stream])
        finally:
            batcher.commit(row, replace(part, stale_s=None, answers=answers))
        return answers
