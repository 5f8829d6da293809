"""Triggered frames: each trigger is joined to the frame nearest in time, on the monotonic clock only."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, runtime_checkable

from runtime.parts.frame import Frame, Trigger
from runtime.parts.verdict import Reason

HISTORY_S = 0.5
"""Frames are kept for at least this long, for triggers that arrive late."""
MOST_BYTES = 512_000_000
"""Of the frames that are kept for longer than that."""
MAX_WAITING = 32
"""Frames that wait to be judged, before parts go on without theirs: memory stays bounded."""


@runtime_checkable
class TakesTriggers(Protocol):
    """Where the triggers of a camera are handed in."""

    takes_ahead: bool
    """Whether parts are told of before they stand before the camera, and wait for their frames."""

    def ask(self, trigger: Trigger) -> None:
        """A part stands before the camera, or comes next. Returns at once; raises ValueError where it takes no more."""


class TriggeredFrames:
    """Triggered: each trigger gets the frame nearest in time, or none where none is near enough. None is dropped.

    One that comes so late that the nearest is no longer kept gets none: another frame shows another part.
    """

    takes_ahead = False

    def __init__(self, tolerance_s: float, clock: Callable[[], float]) -> None:
        """Join frames within `tolerance_s`; `clock` is the one of `Frame.captured`."""
        self.dropped = 0
        self._tolerance_s = tolerance_s
        self._clock = clock
        self._recent: deque[Frame] = deque()
        self._bytes = 0
        self._gone_s = float("-inf")
        """When the last of those that are no longer kept was captured."""
        self._asked: list[Trigger] = []
        self._ready: deque[Frame] = deque()
        self._changed = threading.Condition()

    def ask(self, trigger: Trigger) -> None:
        """A part stands before the camera. Returns at once."""
        with self._changed:
            self._asked.append(trigger)
            self._changed.notify_all()

    def put(self, frame: Frame) -> None:
        """See FrameBuffer."""
        with self._changed:
            self._recent.append(frame)
            self._bytes += _bytes(frame)
            while self._is_too_much(frame.captured.s - self._recent[0].captured.s):
                oldest = self._recent.popleft()
                self._bytes -= _bytes(oldest)
                self._gone_s = oldest.captured.s
            self._join()
            self._changed.notify_all()

    def take(self, timeout_s: float) -> Frame | None:
        """See FrameBuffer."""
        until_s = self._clock() + timeout_s
        with self._changed:
            while True:
                self._join()
                left_s = until_s - self._clock()
                if self._ready or left_s <= 0:
                    return self._ready.popleft() if self._ready else None
                expiries = (trigger.target.s + self._tolerance_s - self._clock() for trigger in self._asked)
                self._changed.wait(max(0.001, min(left_s, *expiries, left_s)))

    def newer(self, frame: Frame) -> Frame:
        """See FrameBuffer. A joined frame stays its part's."""
        return frame

    def _is_too_much(self, kept_s: float) -> bool:
        longest_s = HISTORY_S if self._bytes > MOST_BYTES else max(HISTORY_S, 2 * self._tolerance_s)
        return kept_s > longest_s

    def _nearest(self, target_s: float) -> Frame | None:
        """Give the frame nearest to `target_s`; None where none is near enough, or the nearest is no longer kept."""
        nearest = min(self._recent, key=lambda frame: abs(frame.captured.s - target_s), default=None)
        off_s = float("inf") if nearest is None else abs(nearest.captured.s - target_s)
        return nearest if off_s <= self._tolerance_s and off_s <= abs(self._gone_s - target_s) else None

    def _join(self) -> None:
        """Settle every trigger that has a frame at or behind its time, or can have none any more."""
        now_s = self._clock()
        waiting = []
        for trigger in self._asked:
            seen = bool(self._recent) and self._recent[-1].captured.s >= trigger.target.s
            if not seen and now_s - trigger.target.s <= self._tolerance_s:
                waiting.append(trigger)
                continue
            nearest = self._nearest(trigger.target.s)
            if nearest is not None and len(self._ready) < MAX_WAITING:
                self._ready.append(replace(nearest, trigger=trigger))
            else:
                fault = Reason.NO_FRAME if nearest is None else Reason.OVERRUN
                self._ready.append(Frame(None, trigger.target, fault=fault, trigger=trigger))
        self._asked = waiting


def _bytes(frame: Frame) -> int:
    """How much memory a frame takes, as the camera gave it."""
    return sum(rows.nbytes for rows in frame.rows())
