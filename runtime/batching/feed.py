"""A feed: the thread that carries one camera's frames into the rows of the next batches."""

import logging
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from core.errors import one_line
from runtime.batching.batcher import Batcher
from runtime.batching.filling import fill
from runtime.batching.task import Assign
from runtime.batching.unlike import Unlike
from runtime.cameras.camera import Camera, CameraState
from runtime.cameras.filming import Filming
from runtime.cameras.settings import CameraSettings, LiveCameraSettings
from runtime.parts.frame import Frame
from runtime.parts.part import Part
from runtime.parts.verdict import Reason
from runtime.threads.worker import Worker

log = logging.getLogger(__name__)
FILE_NICENESS = 10
"""Of threads that read files, on the scale of nice(1)."""


class Feed(Worker):
    """Runs until the camera ends, or until it is stopped and the batcher is closed."""

    def __init__(
        self,
        name: str,
        camera: Camera,
        settings: CameraSettings,
        batcher: Batcher,
        assign: Assign,
        expect: Callable[[Part], None] = lambda _part: None,
    ) -> None:
        """Feed `camera`, known as `name`, into `batcher`, each part as `assign` says.

        `expect` is told of each part before it is judged.
        """
        super().__init__(f"camera {name}", self._feed_and_close)
        self.streams = settings.streams(name)
        """What is judged of the camera: regions by the name that their events carry; None: what the model has seen."""
        self._source = camera
        self._filming = Filming(self.name, camera, settings)
        self._settings = settings
        self._batcher = batcher
        self._assign = assign
        self._expect = expect
        self._stopping = threading.Event()
        self.unlike = Unlike()
        """How what comes differs from all that trained."""

    @property
    def state(self) -> tuple[str, str]:
        """`died`, `ended`, or how it stands with the camera (a file is always `streaming`); and why."""
        status = self._source.status()
        if self.fault is not None:
            return "died", one_line(self.fault)
        if not self.is_alive():
            return "ended", ""
        return (CameraState.STREAMING, "") if status is None else (status.state, status.reason)

    def _feed_and_close(self) -> None:
        try:
            if not isinstance(self._settings, LiveCameraSettings):
                # Files can wait: what is computed has the right of way, and they are read in its pauses.
                own = os.getpriority(os.PRIO_PROCESS, 0)
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), max(FILE_NICENESS, own))
            self._feed()
        finally:
            self._source.close()
            self._batcher.end()

    def stop(self) -> None:
        """Ask the thread to end; a closed batcher ends its waiting for a row."""
        self._stopping.set()

    def _feed(self) -> None:
        for frame in self._filming.frames(self._stopping):
            if not self._carry(frame):
                return

    def _carry(self, frame: Frame) -> bool:
        """Put what is to be judged of `frame` into rows. False once stopped."""
        for number, (stream, roi) in enumerate(self.streams.items(), start=1):
            ask = partial(self._assign, stream, frame.trigger)
            claimed = None if self._stopping.is_set() else self._batcher.claim(ask, goes_on=number > 1)
            if claimed is None:
                return False
            try:
                if number == 1:
                    frame = self._filming.newest(frame, claimed.task.seen.bits)
                part = fill(claimed.task, claimed.pixels, frame, self._settings, roi)
                self.unlike.look(part, claimed.pixels, claimed.task.seen.within(roi))
                self._expect(part)
            except Exception as error:  # a fault of ours: a row that is kept would keep its whole batch from the judge
                log.error("camera %s: a frame cannot be judged reason=%r remedy='report it'", stream, one_line(error))
                unseen = replace(frame, pixels_u8=None, stored_u16=None, fault=Reason.UNREADABLE)
                part = fill(claimed.task, claimed.pixels, unseen, self._settings, None)
            self._batcher.commit(claimed, part if number == len(self.streams) else replace(part, cause=None))
        return True
