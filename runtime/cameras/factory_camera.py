"""Factory cameras: live cameras by GenICam, free-running, or with every frame a part.

Where every frame is a part silence is normal: whether the camera is there is asked, not read from its frames.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from runtime.cameras.block_ids import missed
from runtime.cameras.camera import CameraState
from runtime.cameras.live import LOOK_EVERY_S, Capture, LiveCamera
from runtime.cameras.part_queue import FiredParts, PartQueue, without_frame
from runtime.cameras.settings import GenicamSettings, GentlSettings
from runtime.parts.frame import Frame, Trigger
from runtime.parts.verdict import Reason

AWAY = "it does not answer, or another program has taken it"
ASK_EVERY_S = 1.0
"""How often a silent camera is asked whether it is there."""


class FactoryStream(Capture, Protocol):
    """What is used beside of a GenicamStream or a GentlStream."""

    @property
    def block_id(self) -> int:
        """The camera's number of what was grabbed."""

    def wait(self, timeout_s: float) -> bool:
        """Wait for a frame; False where none came."""

    def fire(self) -> bool:
        """Fire the software trigger; False where the camera does not say that it heard."""

    def is_ours(self) -> bool:
        """Ask the camera whether it is there and obeys us."""


def connection(settings: GenicamSettings | GentlSettings) -> Callable[[], Any]:
    """Give what connects to the camera, and raises OSError where it cannot.

    Raises ConfigError where the package is missing.
    """
    from runtime.cameras import genicam, gentl

    return gentl.connection(settings) if isinstance(settings, GentlSettings) else genicam.connection(settings)


class FactoryCamera(LiveCamera):
    """A camera of GigE Vision or USB3 Vision, or behind its maker's producer."""

    def __init__(self, name: str, settings: GenicamSettings | GentlSettings) -> None:
        """Raises ConfigError where the package is missing."""
        super().__init__(name, settings, connection(settings), lambda stream: float(stream.time_s))
        self._parts: PartQueue | None = None
        """None: not every frame is a part."""
        self._asked_s = 0.0
        """When it was last asked whether it is there (monotonic clock)."""
        self._tolerance_s = settings.trigger.tolerance_ms / 1000 if settings.trigger is not None else 0.0
        if settings.trigger is not None and settings.every_frame_is_a_part:
            is_fired = settings.trigger.mode == "software"
            queue = FiredParts(self._tolerance_s, time.monotonic) if is_fired else PartQueue(time.monotonic)
            self._buffer = self.triggered = self._parts = queue

    def _read(self, capture: Any, at_s: float, now_s: float) -> Frame:
        return replace(super()._read(capture, at_s, now_s), chunks=capture.chunks, layout=capture.layout)

    def _drain(self, capture: Any) -> str:
        if self._parts is None:
            return super()._drain(capture)
        self.opened_s = time.monotonic()
        self._parts.found()
        self._change(CameraState.STREAMING, "")
        if isinstance(self._parts, FiredParts):
            return self._fire_each(capture, self._parts)
        return self._take_each(capture, self._parts)

    def _change(
        self, state: CameraState, reason: str, reconnects: int = 0, last_frame_at_s: float | None = None
    ) -> None:
        if state == CameraState.RECONNECTING and self._parts is not None:
            self._parts.lost(time.time())
        super()._change(state, reason, reconnects, last_frame_at_s)

    def _take_each(self, stream: FactoryStream, parts: PartQueue) -> str:
        """Take every frame in turn, and tell of those that were lost between two. Returns why it ended."""
        last: int | None = None
        while not self._closing.is_set():
            if not self._is_there(stream):
                return AWAY
            if not stream.wait(LOOK_EVERY_S):
                continue
            now_at_s, now_s = time.time(), time.monotonic()
            lost = 0 if last is None else missed(last, stream.block_id)
            if lost is None:
                return f"it counted anew, from block {last} to {stream.block_id}"
            last = stream.block_id
            for _ in range(lost):
                parts.put(Frame(None, now_at_s, now_s, fault=Reason.NO_FRAME))
            self._pass_on(self._read(stream, now_at_s, now_s))
        return ""

    def _fire_each(self, stream: FactoryStream, parts: FiredParts) -> str:
        """Fire each trigger and take its frame. Returns why it ended.

        Where none came in time the stream is opened anew: a late one must not be taken for the next part's.
        """
        while not self._closing.is_set():
            if not self._is_there(stream):
                return AWAY
            trigger = parts.due(LOOK_EVERY_S)
            if trigger is None:
                continue
            frame = self._photograph(stream, trigger)
            if frame is None:
                parts.put(without_frame(trigger))
                return "no frame came in time of its software trigger"
            self._pass_on(replace(frame, trigger=trigger))
        return ""

    def _photograph(self, stream: FactoryStream, trigger: Trigger) -> Frame | None:
        """Fire, and give the one frame that comes of it; None where none came in time, or another than the next."""
        last: int | None = None
        while stream.wait(0.0):  # nobody fired that
            last = stream.block_id
        if not stream.fire():
            return None
        left_s = trigger.target_s + self._tolerance_s - time.monotonic()
        if not stream.wait(left_s) or (last is not None and missed(last, stream.block_id) != 0):
            return None
        return self._read(stream, time.time(), time.monotonic())

    def _is_there(self, stream: FactoryStream) -> bool:
        """Ask the camera now and then; one that answers is not silent."""
        self._heard_s = time.monotonic()
        if self._heard_s - self._asked_s < ASK_EVERY_S:
            return True
        is_there = stream.is_ours()
        self._asked_s = time.monotonic()
        return is_there
