"""Filming: one camera's frames as they are to be judged, no more a second than was asked for and all of one size."""

import logging
import math
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

from core.errors import DataError
from core.pictures.picture import as_bgr_u8
from runtime.cameras.camera import Camera
from runtime.cameras.settings import CameraSettings, LiveCameraSettings, VideoSettings
from runtime.parts.frame import Frame
from runtime.parts.verdict import Reason
from runtime.threads.seldom import Seldom

log = logging.getLogger(__name__)
SIZE_REMEDY = "set the camera back; or if it stays so, and the model knows such pictures, set `frame_size` and restart"
TOLD_EVERY_S = 60.0
"""How often at most the log has that frames are of a wrong size: it may change with each."""


class Filming:
    """Gives a camera's frames. It belongs to the one thread that iterates over them."""

    def __init__(self, name: str, camera: Camera, settings: CameraSettings) -> None:
        """Film with `camera`, known as `name`, as `settings` ask."""
        self._name = name
        self._camera = camera
        self._settings = settings
        self._size = settings.frame_size
        self._wrong: tuple[int, int] | None = None
        self._told_s = -math.inf
        self._seldom = Seldom()

    def frames(self, stopping: threading.Event) -> Iterator[Frame]:
        """Give the frames one after the other until `stopping`; each is to be asked for again by `newest`."""
        interval_s = 1 / self._settings.max_fps if self._settings.max_fps else 0.0
        next_s = time.monotonic()
        for frame in self._camera.frames(stopping):
            yield frame
            next_s = max(next_s + interval_s, time.monotonic())
            stopping.wait(next_s - time.monotonic())

    def newest(self, frame: Frame, bits: int = 16) -> Frame:
        """Say what to judge in place of `frame`, which has waited for its turn, and mark one of a wrong size.

        Files of 16 bits hold `bits`, see `core.pictures.picture`.
        """
        frame = _in_8_bits(self._camera.newer(frame).developed(), bits)
        if frame.why is not None and self._seldom.is_due(self._name):
            log.warning("%s: a picture cannot be read reason=%r", self._name, frame.why)
        return self._of_one_size(frame)

    def _of_one_size(self, frame: Frame) -> Frame:
        """Mark a frame of another size than expected: resized like the others it would pass for one of them."""
        if frame.pixels_u8 is None:
            return frame
        height, width = frame.pixels_u8.shape[:2]
        if self._size is None and isinstance(self._settings, LiveCameraSettings | VideoSettings):
            self._size = (width, height)
        if self._size is None or self._size == (width, height):
            self._wrong = None
            return frame
        now_s = time.monotonic()
        if self._wrong != (width, height) and now_s - self._told_s >= TOLD_EVERY_S:
            self._wrong, self._told_s = (width, height), now_s
            told = "%s: frames of another size are not judged size=%dx%d wanted=%dx%d remedy=%r"
            log.warning(told, self._name, *self._wrong, *self._size, SIZE_REMEDY)
        return replace(frame, fault=frame.fault or Reason.WRONG_SIZE)


def _in_8_bits(frame: Frame, bits: int) -> Frame:
    if frame.stored_u16 is None:
        return frame
    try:
        return replace(frame, pixels_u8=as_bgr_u8(frame.stored_u16, bits), stored_u16=None)
    except DataError as error:
        return replace(frame, fault=Reason.UNREADABLE, why=f"{frame.source}: {error}", stored_u16=None)
