"""Live cameras: a reader thread each, which connects for ever and never holds up anything else.

A read that blocks in a driver cannot be ended from outside: the reader is a daemon thread and is left behind then.
All limits are kept on the monotonic clock; the wall clock is only told.
"""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from runtime.cameras.camera import Camera, CameraState, CameraStatus
from runtime.cameras.delay import Backlog
from runtime.cameras.frame_buffer import FrameBuffer, LatestFrame
from runtime.cameras.settings import LiveCameraSettings
from runtime.cameras.standing import Standing
from runtime.cameras.thinning import Thinning
from runtime.cameras.triggering import TakesTriggers, TriggeredFrames
from runtime.parts.frame import Frame
from runtime.parts.verdict import Reason
from runtime.threads.backoff import LONGEST_S, STABLE_AFTER_S, BackOff
from runtime.threads.worker import Worker

LOOK_EVERY_S = 0.1
"""How often a waiting camera looks up: a stop is heeded, and silence noticed, within this time."""
READ_ENDS_S = 0.2
"""How long a read that is under way is waited for at the end."""
SETTLE_S = 0.5
"""What was read while the camera was opened is given at once, and was not captured now: nothing so early is judged."""


class Capture(Protocol):
    """What is used of a VideoStream, or of cv2.VideoCapture."""

    def grab(self) -> bool:
        """Wait for a frame; False where the stream is over or has timed out."""

    def retrieve(self) -> tuple[bool, Any]:
        """Give the pixels of what was grabbed; False where it is damaged."""

    def release(self) -> None:
        """Let the stream go."""


class LiveCamera(Camera):
    """Reads on a thread of its own from the first `frames` until `close`, and keeps what is to be judged next."""

    frames_total = None
    longest_wait_s = LONGEST_S
    """Before it is connected to again."""

    def __init__(
        self,
        name: str,
        settings: LiveCameraSettings,
        connect: Callable[[], Capture | None],
        stream_clock: Callable[[Any], float] | None = None,
    ) -> None:
        """Frames come from what `connect` opens; it gives None, or raises OSError with the reason, where it cannot.

        `stream_clock` reads the time of what was grabbed, in s; None where the stream tells no time of its own.
        """
        self.name = name
        self.triggered: TakesTriggers | None = None
        """Where triggers are handed in; None where the camera runs freely."""
        self.opened_s = 0.0
        """When it was connected to last (monotonic clock)."""
        self._settings = settings
        self._connect = connect
        self._stream_clock = stream_clock
        self._buffer: FrameBuffer = LatestFrame()
        if settings.trigger is not None:
            self._buffer = self.triggered = TriggeredFrames(settings.trigger.tolerance_ms / 1000, time.monotonic)
        self._reader = Worker(f"reader {name}", self._keep_connected)
        self._closing = threading.Event()
        self._heard_s = time.monotonic()
        self._standing = Standing(name)
        self._thinning = Thinning(settings.judge_every, settings.max_fps)

    def frames(self, stopping: threading.Event) -> Iterator[Frame]:
        """See Camera. Silence gives one frame without pixels, until it has ended."""
        self._reader.start()
        is_told = False
        while not stopping.is_set():
            if self._reader.fault is not None:
                raise self._reader.fault
            frame = self._buffer.take(LOOK_EVERY_S)
            is_silent = time.monotonic() - self._heard_s >= self._settings.stale_after_s
            if is_silent and self._standing.status.state == CameraState.STREAMING:
                self._change(CameraState.STALLED, f"no frame for {self._settings.stale_after_s:g} s")
            if frame is not None:
                yield frame
            elif is_silent and not is_told and self.triggered is None:
                yield Frame(None, time.time(), time.monotonic(), fault=Reason.NO_FRAME)
            is_told = is_silent

    def newer(self, frame: Frame) -> Frame:
        """See Camera."""
        return self._buffer.newer(frame)

    def status(self) -> CameraStatus:
        """See Camera."""
        return replace(self._standing.status, dropped=self._buffer.dropped)

    def close(self) -> None:
        """See Camera. The reader lets the device go by itself; it is waited for unless its read blocks."""
        self._closing.set()
        if self._reader.is_alive():
            self._reader.join(READ_ENDS_S)
        self._change(CameraState.STOPPED, "")

    def _keep_connected(self) -> None:
        backoff = BackOff(self.longest_wait_s)
        while not self._closing.is_set():
            started_s = time.monotonic()
            capture, reason = None, "cannot be opened"
            try:
                capture = self._connect()
                if capture is not None:
                    reason = self._drain(capture)
            except OSError as error:
                reason = f"cannot be opened ({error.strerror or error})"
            except Exception as error:  # whatever a camera sends; the words may hold its address, with a password
                reason = f"what it sends cannot be read ({type(error).__name__})"
            finally:
                if capture is not None:
                    capture.release()
            if self._closing.is_set():
                return
            if time.monotonic() - started_s > STABLE_AFTER_S and capture:
                backoff.succeeded()
            self._change(CameraState.RECONNECTING, reason, reconnects=1)
            self._closing.wait(backoff.failed())

    def _drain(self, capture: Capture) -> str:
        """Read until the stream ends, or has stood still where nothing tells old frames from new. Returns why."""
        limit_s, backlog = self._settings.stale_after_s, Backlog(self._settings.stale_after_s)
        self.opened_s = heard_s = time.monotonic()
        while capture.grab():
            if self._closing.is_set():
                return ""
            now_at_s, now_s = time.time(), time.monotonic()
            silent_s, heard_s = now_s - heard_s, now_s
            is_old = self._stream_clock is not None and backlog.is_old(self._stream_clock(capture), now_s)
            if backlog.is_lost or (self._stream_clock is None and silent_s > limit_s):
                return "it was silent, and what it sends after that may be old"
            if is_old or now_s - self.opened_s < SETTLE_S:
                continue
            self._heard_s = now_s
            # Parts that are triggered choose among all frames.
            if self.triggered is None and not self._thinning.wants(now_s):
                continue
            self._pass_on(self._read(capture, now_at_s, now_s))
        return "the stream ended, or gave nothing in time"

    def _read(self, capture: Capture, at_s: float, now_s: float) -> Frame:
        """Give what was grabbed."""
        decoded, pixels = capture.retrieve()
        if not decoded:
            return Frame(None, at_s, now_s, fault=Reason.UNREADABLE)
        return Frame(np.asarray(pixels, np.uint8), at_s, now_s)

    def _pass_on(self, frame: Frame) -> None:
        """Keep a frame, unless the camera is frozen: that is told once, and to every part that is triggered."""
        frozen_after = self._settings.frozen_after
        if frame.pixels_u8 is None or frame.fault is not None or frozen_after is None:
            self._arrived(frame)
            return
        alike = self._thinning.alike(frame.pixels_u8)
        if alike < frozen_after:
            self._arrived(frame)
            return
        if alike == frozen_after or self.triggered is not None:
            self._buffer.put(replace(frame, fault=Reason.FROZEN))
        self._change(CameraState.STALLED, f"frozen: {frozen_after} frames alike")

    def _arrived(self, frame: Frame) -> None:
        self._buffer.put(frame)
        self._change(CameraState.STREAMING, "", last_frame_at_s=frame.captured_at_s)

    def _change(
        self, state: CameraState, reason: str, reconnects: int = 0, last_frame_at_s: float | None = None
    ) -> None:
        self._standing.change(state, reason, reconnects, last_frame_at_s)
