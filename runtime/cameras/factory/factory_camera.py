"""Factory cameras: live cameras by GenICam, free-running, or with every frame a part.

Where every frame is a part silence is normal: whether the camera is there is asked, not read from its frames.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from runtime.cameras.camera import CameraState
from runtime.cameras.factory.block_ids import missed, missed_at_first
from runtime.cameras.factory.part_queue import FiredParts, PartQueue, without_frame
from runtime.cameras.free_running import Capture, grabbed, read_freely, time_s
from runtime.cameras.intake import Intake
from runtime.cameras.live import LOOK_EVERY_S, LiveCamera
from runtime.cameras.settings import GenicamSettings, GentlSettings
from runtime.parts.frame import Frame
from runtime.parts.moment import Moment
from runtime.parts.verdict import Reason

AWAY = "it does not answer, or another program has taken it"
ASK_EVERY_S = 1.0
"""How often a silent camera is asked whether it is there."""

LATE_S = 0.5
"""How long a frame is waited for beyond its time, as where parts come faster than the camera films."""


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
        """Ask the camera whether it is there and accepts our commands."""


def connection(settings: GenicamSettings | GentlSettings, is_trial: bool = False) -> Callable[[], Any]:
    """Give what connects to the camera, and raises OSError where it cannot; in a trial it runs freely.

    Raises ConfigError where the package is missing.
    """
    from runtime.cameras.factory import genicam, gentl

    if isinstance(settings, GentlSettings):
        return gentl.connection(settings, is_trial)
    return genicam.connection(settings, is_trial)


def factory_camera(name: str, settings: GenicamSettings | GentlSettings) -> LiveCamera:
    """Give a camera of GigE Vision or USB3 Vision, or behind its maker's producer.

    Raises ConfigError where the package is missing.
    """
    connect, trigger = connection(settings), settings.trigger
    if trigger is None or not settings.every_frame_is_a_part:
        return LiveCamera(name, settings, connect, partial(read_freely, stream_clock=time_s, frame_of=_frame))
    tolerance_s = trigger.tolerance_ms / 1000
    parts = FiredParts(tolerance_s, time.monotonic) if trigger.mode == "software" else PartQueue(time.monotonic)
    reading = PartReading(parts, tolerance_s)
    return LiveCamera(name, settings, connect, reading.read, parts, lambda: parts.lost(Moment.now()))


class PartReading:
    """Reads frames of which every one is a part, on the reader's thread."""

    def __init__(self, parts: PartQueue, tolerance_s: float) -> None:
        """Put them into `parts`; a frame comes within `tolerance_s` of the trigger that was fired for it."""
        self._parts = parts
        self._tolerance_s = tolerance_s
        self._asked_s = 0.0
        """When the camera was asked last whether it is there (monotonic clock)."""
        self._last: int | None = None
        """The block id of the last frame that was taken, in this connection or an earlier one."""

    def read(self, stream: FactoryStream, intake: Intake) -> str:
        """Read until the camera is away or the intake closes. Returns why it ended."""
        self._parts.found()
        intake.standing.change(CameraState.STREAMING, "")
        if isinstance(self._parts, FiredParts):
            return self._fire_each(stream, intake, self._parts)
        return self._take_each(stream, intake)

    def _take_each(self, stream: FactoryStream, intake: Intake) -> str:
        """Take every frame in turn, and tell of those that were lost between two. Returns why it ended."""
        is_first, began_s = True, time.monotonic()
        while not intake.closing.is_set():
            if not self._is_there(stream, intake):
                return AWAY
            if not stream.wait(LOOK_EVERY_S):
                continue
            now, last, block_id = Moment.now(), self._last, stream.block_id
            if is_first or last is None:
                lost: int | None = missed_at_first(block_id, last, now.s - began_s)
            else:
                lost = missed(last, block_id)
            if lost is None:
                return f"it restarted its count, from block {last} to {block_id}"
            self._last, is_first = block_id, False
            for _ in range(lost):
                self._parts.put(Frame(None, now, fault=Reason.NO_FRAME))
            intake.put(_frame(stream, now))
        return ""

    def _fire_each(self, stream: FactoryStream, intake: Intake, parts: FiredParts) -> str:
        """Fire each trigger and take its frame. Returns why it ended.

        A frame that comes too late is thrown away. Where none comes the stream is opened again: it must not be taken
        for the next part's.
        """
        while not intake.closing.is_set():
            if not self._is_there(stream, intake):
                return AWAY
            trigger = parts.due(LOOK_EVERY_S)
            if trigger is None:
                continue
            last: int | None = None
            while stream.wait(0.0):  # nobody fired that
                last = stream.block_id
            is_fired = stream.fire()
            left_s = trigger.target.s + self._tolerance_s - time.monotonic()
            if is_fired and stream.wait(left_s) and _is_next(last, stream.block_id):
                intake.put(replace(_frame(stream, Moment.now()), trigger=trigger))
                continue
            parts.put(without_frame(trigger))
            if not is_fired or not stream.wait(LATE_S) or not _is_next(last, stream.block_id):
                return "no frame came after its software trigger"
        return ""

    def _is_there(self, stream: FactoryStream, intake: Intake) -> bool:
        """Ask the camera now and then; one that answers is not silent."""
        intake.heard_s = time.monotonic()
        if intake.heard_s - self._asked_s < ASK_EVERY_S:
            return True
        is_there = stream.is_ours()
        self._asked_s = time.monotonic()
        return is_there


def _is_next(last: int | None, block_id: int) -> bool:
    """Whether no frame lies between the `last` that nobody fired, if there was one, and this."""
    return last is None or missed(last, block_id) == 0


def _frame(stream: Any, now: Moment) -> Frame:
    return replace(grabbed(stream, now), chunks=stream.chunks, layout=stream.layout)
