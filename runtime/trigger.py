"""Triggers: a message says that a part stands before the camera; it is joined to the frame nearest in time.

Times are compared on the monotonic clock: a trigger's own time is carried over to it once, when it arrives.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from runtime.camera import Frame, Trigger
from runtime.connection import Message
from runtime.verdict import Reason

log = logging.getLogger(__name__)

AHEAD_S, AGO_S = 10.0, 86400.0
"""A trigger whose time lies further in the future, or in the past, comes from a clock that is wrong."""
HISTORY_S = 0.5
"""Frames are kept for at least this long, for triggers that arrive late."""
MAX_WAITING = 32
"""Joined frames that wait to be judged, before parts go on without theirs: memory stays bounded."""


class _Payload(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    part_id: str = Field(min_length=1, max_length=256)
    job_id: str | None = Field(default=None, max_length=256)
    recipe: str | None = Field(default=None, max_length=256)
    time: AwareDatetime | None = None
    id: str | None = Field(default=None, max_length=256)


def parse_trigger(payload: bytes, now_at_s: float, now_s: float) -> Trigger:
    """Read a trigger that arrived at `now_at_s` (Unix time), which is `now_s` on the monotonic clock.

    Without a `time` of its own it means the moment of its arrival. Raises ValueError where it is malformed.
    """
    try:
        told = _Payload.model_validate_json(payload)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{where}: {first['msg']}" if where else first["msg"]) from error
    at_s = now_at_s if told.time is None else told.time.timestamp()
    if not -AGO_S <= at_s - now_at_s <= AHEAD_S:
        raise ValueError(f"time: {at_s - now_at_s:+.0f} s from now; set the clocks of both machines")
    return Trigger(told.part_id, told.job_id, told.recipe, told.id, at_s, now_s + at_s - now_at_s)


class Shelf(Protocol):
    """Stands between a live camera's reader, which puts, and its feed, which takes."""

    dropped: int
    """Frames that were wanted and gave way to a newer one."""

    def put(self, frame: Frame) -> None:
        """Offer a frame. Never blocks."""

    def take(self, timeout_s: float) -> Frame | None:
        """Wait for what is to be judged next."""

    def newer(self, frame: Frame) -> Frame:
        """Say what to judge in place of a taken `frame`, now that there is room."""


class Newest:
    """Free-running: the newest frame wins."""

    def __init__(self) -> None:
        self.dropped = 0
        self._frame: Frame | None = None
        self._changed = threading.Condition()

    def put(self, frame: Frame) -> None:
        """See Shelf."""
        with self._changed:
            self.dropped += self._frame is not None
            self._frame = frame
            self._changed.notify_all()

    def take(self, timeout_s: float) -> Frame | None:
        """See Shelf."""
        with self._changed:
            self._changed.wait_for(lambda: self._frame is not None, timeout_s)
            frame, self._frame = self._frame, None
            return frame

    def newer(self, frame: Frame) -> Frame:
        """See Shelf. A frame with a fault is told as it is: it stands for a change of state."""
        newest = None if frame.fault else self.take(0)
        self.dropped += newest is not None
        return newest or frame


class Joined:
    """Triggered: each trigger gets the frame nearest in time, or none where none is near enough. None is dropped."""

    def __init__(self, tolerance_s: float, clock: Callable[[], float]) -> None:
        """Join frames within `tolerance_s`; `clock` is the one of `Frame.captured_s`."""
        self.dropped = 0
        self._tolerance_s = tolerance_s
        self._clock = clock
        self._recent: deque[Frame] = deque()
        self._asked: list[Trigger] = []
        self._ready: deque[Frame] = deque()
        self._changed = threading.Condition()

    def ask(self, trigger: Trigger) -> None:
        """A part stands before the camera. Returns at once."""
        with self._changed:
            self._asked.append(trigger)
            self._changed.notify_all()

    def put(self, frame: Frame) -> None:
        """See Shelf."""
        with self._changed:
            self._recent.append(frame)
            while frame.captured_s - self._recent[0].captured_s > max(HISTORY_S, 2 * self._tolerance_s):
                self._recent.popleft()
            self._join()
            self._changed.notify_all()

    def take(self, timeout_s: float) -> Frame | None:
        """See Shelf."""
        until_s = self._clock() + timeout_s
        with self._changed:
            while True:
                self._join()
                left_s = until_s - self._clock()
                if self._ready or left_s <= 0:
                    return self._ready.popleft() if self._ready else None
                expiries = (trigger.target_s + self._tolerance_s - self._clock() for trigger in self._asked)
                self._changed.wait(max(0.001, min(left_s, *expiries, left_s)))

    def newer(self, frame: Frame) -> Frame:
        """See Shelf. A joined frame stays its part's."""
        return frame

    def _join(self) -> None:
        """Settle every trigger that has a frame at or behind its time, or can have none any more."""
        now_s = self._clock()
        waiting = []
        for trigger in self._asked:
            seen = bool(self._recent) and self._recent[-1].captured_s >= trigger.target_s
            if not seen and now_s - trigger.target_s <= self._tolerance_s:
                waiting.append(trigger)
                continue
            near = [frame for frame in self._recent if abs(frame.captured_s - trigger.target_s) <= self._tolerance_s]
            if near and len(self._ready) < MAX_WAITING:
                nearest = min(near, key=lambda frame: abs(frame.captured_s - trigger.target_s))
                self._ready.append(replace(nearest, trigger=trigger))
            else:
                fault = Reason.OVERRUN if near else Reason.NO_FRAME
                self._ready.append(Frame(None, trigger.at_s, trigger.target_s, fault=fault, trigger=trigger))
        self._asked = waiting


class TriggerDesk:
    """Takes the messages on a trigger topic to its camera; what is malformed is refused, logged and counted."""

    def __init__(self, camera: Joined, clock: Callable[[], float], wall_clock: Callable[[], float]) -> None:
        """Take triggers for `camera`, on whose clock they are put."""
        self.refused = 0
        self._camera = camera
        self._clock = clock
        self._wall_clock = wall_clock

    def handle(self, message: Message) -> None:
        """Take one message. Never raises for what is in it."""
        try:
            if message.retained:
                raise ValueError("it is retained, and so may be old; send triggers without retain")
            trigger = parse_trigger(message.payload, self._wall_clock(), self._clock())
        except ValueError as error:
            self.refused += 1
            log.warning("trigger refused topic=%s reason=%r refused=%d", message.topic, str(error), self.refused)
            return
        self._camera.ask(trigger)
