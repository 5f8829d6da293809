"""The intake of a live camera: where its reader hands over frames, and its feed learns how the camera stands."""

import threading
import time
from dataclasses import replace

from runtime.cameras.camera import CameraState
from runtime.cameras.frame_buffer import FrameBuffer
from runtime.cameras.settings import LiveCameraSettings
from runtime.cameras.standing import Standing
from runtime.cameras.thinning import Thinning
from runtime.parts.frame import Frame
from runtime.parts.verdict import Reason


class Intake:
    """Takes frames from the reader's thread into the buffer, unless they are too many or frozen."""

    def __init__(self, name: str, settings: LiveCameraSettings, buffer: FrameBuffer) -> None:
        """Of the camera `name`, which is not connected yet."""
        self.settings = settings
        self.buffer = buffer
        self.standing = Standing(name)
        self.closing = threading.Event()
        """Set where the reader is to release the camera."""
        self.heard_s = time.monotonic()
        """When the camera gave something last, or said that it is there (monotonic clock)."""
        self._thinning = Thinning(settings.judge_every, settings.max_fps)

    def wants(self, now_s: float) -> bool:
        """Say whether a frame that was grabbed at `now_s` (monotonic clock) is to be read. A trigger chooses itself."""
        return self.settings.trigger is not None or self._thinning.wants(now_s)

    def put(self, frame: Frame) -> None:
        """Keep a frame, unless the camera is frozen: that is told once, and to every part that is triggered."""
        frozen_after = self.settings.frozen_after
        alike = 0
        if frame.fault is None and frozen_after is not None:
            alike = self._thinning.alike(frame.rows())
        if frozen_after is None or alike < frozen_after:
            self.buffer.put(frame)
            self.standing.change(CameraState.STREAMING, "", last_frame_at_s=frame.captured.at_s)
            return
        if alike == frozen_after or self.settings.trigger is not None:
            self.buffer.put(replace(frame, fault=Reason.FROZEN))
        self.standing.change(CameraState.STALLED, f"frozen: {frozen_after} frames alike")
