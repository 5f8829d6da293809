"""Frame buffers: what a live camera's reader thread hands to its feed. Free-running, the latest frame wins."""

import threading
from typing import Protocol

from runtime.parts.frame import Frame


class FrameBuffer(Protocol):
    """Stands between a live camera's reader, which puts, and its feed, which takes."""

    dropped: int
    """Frames that were wanted and gave way to a newer one."""

    def put(self, frame: Frame) -> None:
        """Offer a frame. Never blocks."""

    def take(self, timeout_s: float) -> Frame | None:
        """Wait for what is to be judged next."""

    def newer(self, frame: Frame) -> Frame:
        """Say what to judge in place of a taken `frame`, now that there is room."""


class LatestFrame:
    """Free-running: the newest frame wins."""

    def __init__(self) -> None:
        self.dropped = 0
        self._frame: Frame | None = None
        self._changed = threading.Condition()

    def put(self, frame: Frame) -> None:
        """See FrameBuffer."""
        with self._changed:
            self.dropped += self._frame is not None
            self._frame = frame
            self._changed.notify_all()

    def take(self, timeout_s: float) -> Frame | None:
        """See FrameBuffer."""
        with self._changed:
            self._changed.wait_for(lambda: self._frame is not None, timeout_s)
            frame, self._frame = self._frame, None
            return frame

    def newer(self, frame: Frame) -> Frame:
        """See FrameBuffer. A frame with a fault is told as it is: it stands for a change of state."""
        newest = None if frame.fault else self.take(0)
        self.dropped += newest is not None
        return newest or frame
