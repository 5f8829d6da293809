"""Live cameras: a reader thread each, which connects for ever and never delays anything else.

A read that blocks in a driver cannot be ended from outside: the reader is a daemon thread and is left behind then.
All limits are kept on the monotonic clock; the wall clock is only told.
"""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from runtime.cameras.camera import Camera, CameraState, CameraStatus
from runtime.cameras.frame_buffer import FrameBuffer, LatestFrame
from runtime.cameras.free_running import read_freely
from runtime.cameras.intake import Intake
from runtime.cameras.settings import LiveCameraSettings
from runtime.cameras.streams.track import StreamError
from runtime.cameras.triggering import TakesTriggers, TriggeredFrames
from runtime.parts.frame import Frame
from runtime.parts.moment import Moment
from runtime.parts.verdict import Reason
from runtime.threads.backoff import LONGEST_S, STABLE_AFTER_S, BackOff
from runtime.threads.worker import Worker

LOOK_EVERY_S = 0.1
"""How often a waiting camera looks up: a stop, and silence, is noticed within this time."""
READ_ENDS_S = 0.2
"""How long a read that is under way is waited for at the end."""

Read = Callable[[Any, Intake], str]
"""Reads a stream that is connected into the intake, on the reader's thread, until it ends. Returns why."""


def buffer_for(settings: LiveCameraSettings) -> FrameBuffer:
    """Give what stands between reader and feed where not every frame is a part."""
    if settings.trigger is None:
        return LatestFrame()
    return TriggeredFrames(settings.trigger.tolerance_ms / 1000, time.monotonic)


class LiveCamera(Camera):
    """Reads on a thread of its own from the first `frames` until `close`, and keeps what is to be judged next."""

    frames_total: int | None = None
    longest_wait_s = LONGEST_S
    """Before it is connected to again."""

    def __init__(
        self,
        name: str,
        settings: LiveCameraSettings,
        connect: Callable[[], Any],
        read: Read = read_freely,
        buffer: FrameBuffer | None = None,
        on_lost: Callable[[], None] = lambda: None,
    ) -> None:
        """Let `read` read what `connect` opens; that gives None, or raises OSError with the reason, where it cannot.

        Where every frame is a part `buffer` keeps them. `on_lost` hears, on the reader's thread, that it is away.
        """
        self._connect = connect
        self._read = read
        self._on_lost = on_lost
        self._intake = Intake(name, settings, buffer or buffer_for(settings))
        self._reader = Worker(f"reader {name}", self._keep_connected)

    def frames(self, stopping: threading.Event) -> Iterator[Frame]:
        """See Camera. Silence gives one frame without pixels, until it has ended."""
        intake = self._intake
        intake.heard_s = time.monotonic()  # it was made when the station began to open its models
        self._reader.start()
        is_told = False
        stale_after_s = intake.settings.stale_after_s
        while not stopping.is_set():
            if self._reader.fault is not None:
                raise self._reader.fault
            frame = intake.buffer.take(LOOK_EVERY_S)
            is_silent = time.monotonic() - intake.heard_s >= stale_after_s
            if is_silent and intake.standing.status.state == CameraState.STREAMING:
                intake.standing.change(CameraState.STALLED, f"no frame for {stale_after_s:g} s")
            if frame is not None:
                yield frame
            elif is_silent and not is_told and intake.settings.trigger is None:
                yield Frame(None, Moment.now(), fault=Reason.NO_FRAME)
            is_told = is_silent

    @property
    def triggered(self) -> TakesTriggers | None:
        """See Camera."""
        buffer = self._intake.buffer
        return buffer if isinstance(buffer, TakesTriggers) else None

    def newer(self, frame: Frame) -> Frame:
        """See Camera."""
        return self._intake.buffer.newer(frame)

    def status(self) -> CameraStatus:
        """See Camera."""
        return replace(self._intake.standing.status, dropped=self._intake.buffer.dropped)

    def close(self) -> None:
        """See Camera. The reader releases the device by itself; it is waited for unless its read blocks."""
        self._intake.closing.set()
        if self._reader.is_alive():
            self._reader.join(READ_ENDS_S)
        self._intake.standing.change(CameraState.STOPPED, "")

    def _keep_connected(self) -> None:
        backoff = BackOff(self.longest_wait_s)
        closing = self._intake.closing
        while not closing.is_set():
            started_s = time.monotonic()
            capture, reason = None, "cannot be opened"
            try:
                capture = self._connect()
                if capture is not None:
                    self._intake.standing.is_open()
                    reason = self._read(capture, self._intake)
            except OSError as error:
                reason = f"cannot be opened ({error.strerror or error})"
            except StreamError as fault:
                reason = str(fault)
            except Exception as error:  # whatever a camera sends; the words may hold its address, with a password
                reason = f"what it sends cannot be read ({type(error).__name__})"
            finally:
                if capture is not None:
                    capture.release()
            if closing.is_set():
                return
            if time.monotonic() - started_s > STABLE_AFTER_S and capture:
                backoff.succeeded()
            self._on_lost()
            self._intake.standing.change(CameraState.RECONNECTING, reason, reconnects=1)
            closing.wait(backoff.failed())
