"""A feed: the thread that carries one camera's frames into the rows of the next batches."""

import logging
import os
import threading
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from core.errors import DataError, PartNotFoundError, one_line
from core.geometry import ModelInput, PartSize, Roi
from runtime.batching.batcher import Batcher
from runtime.batching.fitting import Fit, fit_on_cpu
from runtime.cameras.camera import Camera, CameraState
from runtime.cameras.exposure import exposure_fault
from runtime.cameras.filming import Filming
from runtime.cameras.settings import CameraSettings, LiveCameraSettings
from runtime.parts.frame import Frame
from runtime.parts.part import FileMark, Part
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
        seen: ModelInput,
        fit: Fit = fit_on_cpu,
        expect: Callable[[Part], None] = lambda _part: None,
    ) -> None:
        """Feed `camera`, known as `name`, into `batcher`, as the model has `seen` pictures in training.

        `expect` is told of each part before it is judged.

        Its region is judged where the camera's settings give none.
        """
        super().__init__(f"camera {name}", self._feed_and_close)
        roi = seen.roi
        self.streams = {stream: own or roi for stream, own in settings.streams(name).items()}
        """What is judged of the camera: regions by the name that their events carry."""
        for stream, own in self.streams.items():
            if roi is not None and own is not None and own[2:] != roi[2:]:
                log.warning(
                    "camera %s: judges %d x %d pixels, and the model was trained on %d x %d: what it takes for a good "
                    "part is of another size remedy=%r",
                    stream,
                    *own[2:],
                    *roi[2:],
                    "leave `roi` out to judge the region that the bundle names",
                )
        self._source = camera
        self._filming = Filming(self.name, camera, settings, seen.bits)
        self._settings = settings
        self._batcher = batcher
        self._expect = expect
        self._part_size = seen.part_size
        self._fit = fit
        self._stopping = threading.Event()

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
            slot = None if self._stopping.is_set() else self._batcher.claim(goes_on=number > 1)
            if slot is None:
                return False
            try:
                if number == 1:
                    frame = self._filming.newest(frame)
                part = fill(slot.pixels, frame, stream, self._settings, roi, self._part_size, self._fit)
                self._expect(part)
            except Exception as error:  # a fault of ours: a row that is kept would keep its whole batch from the judge
                log.error("camera %s: a frame cannot be judged reason=%r remedy='report it'", stream, one_line(error))
                unseen = replace(frame, pixels_u8=None, stored_u16=None, fault=Reason.UNREADABLE)
                part = fill(slot.pixels, unseen, stream, self._settings, None)
            self._batcher.commit(slot, part if number == len(self.streams) else replace(part, cause=None))
        return True


def fill(
    row: NDArray[np.uint8],
    frame: Frame,
    stream: str,
    settings: CameraSettings,
    roi: Roi | None,
    part_size: PartSize | None = None,
    fit: Fit = fit_on_cpu,
) -> Part:
    """Fit `frame` into `row` (H, W, 3), and say what is known of it."""
    pixels, picture = frame.pixels_u8, None
    faults = [] if frame.fault is None else [frame.fault]
    if pixels is not None:
        try:
            picture = fit(pixels, frame.layout, row, roi, part_size)
            exposure = exposure_fault(row, settings.exposure)
            faults += [] if exposure is None else [exposure]
        except PartNotFoundError:
            # A dead lamp is told as such: the frame itself is asked, since nothing of it is in the row.
            exposure = exposure_fault(pixels, settings.exposure)
            faults += [Reason.NO_PART] if exposure is None else [exposure, Reason.NO_PART]
        except DataError:
            faults.append(Reason.ROI_OUTSIDE)
        except (cv2.error, MemoryError):  # sides that OpenCV does not take, more than there is memory for
            faults.append(Reason.UNREADABLE)
    stale_s = None
    if isinstance(settings, LiveCameraSettings) and frame.trigger is None and not settings.every_frame_is_a_part:
        stale_s = frame.captured_s + settings.stale_after_s
    return Part(
        camera=stream,
        captured_at_s=frame.captured_at_s,
        captured_s=frame.captured_s,
        size=None if pixels is None else (pixels.shape[1], pixels.shape[0]),
        source=frame.source,
        faults=tuple(faults),
        trigger=frame.trigger,
        chunks=frame.chunks,
        stale_s=stale_s,
        cause=frame.trigger.cause if frame.trigger else frame.cause,
        mark=None if frame.identity is None else FileMark(frame.identity, frame.part_id),
        picture=picture,
    )
