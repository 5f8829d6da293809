"""Part queues: what stands between a triggered factory camera and its feed. Every frame is a part, none is left out.

Frames that cannot wait any longer, or that nobody saw, leave their part behind, with the reason.
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from runtime.cameras.triggering import MAX_WAITING
from runtime.parts.frame import Frame, Trigger
from runtime.parts.moment import Moment
from runtime.parts.verdict import Reason

MAX_AHEAD = 1000
"""Part ids that may be given ahead."""


class PartQueue:
    """Hardware-triggered: frames in their order, each joined to the next part id that was given ahead, if one was."""

    takes_ahead = True

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` is the one of `Frame.captured`."""
        self.dropped = 0
        """Parts whose frames were given up because too many waited."""
        self._clock = clock
        self._ahead: deque[Trigger] = deque()
        self._ready: deque[Frame] = deque()
        self._pictures = 0
        self._is_lost = False
        self._changed = threading.Condition()

    def ask(self, trigger: Trigger) -> None:
        """See TakesTriggers. While the camera is away, the part passes unseen."""
        with self._changed:
            if len(self._ahead) >= MAX_AHEAD:
                raise ValueError(f"{MAX_AHEAD} part ids wait for their frames already")
            self._ahead.append(trigger)
            if self._is_lost:
                self._give_up_ids()
            self._changed.notify_all()

    def put(self, frame: Frame) -> None:
        """See FrameBuffer."""
        with self._changed:
            if frame.trigger is None and self._ahead:
                frame = replace(frame, trigger=self._ahead.popleft())
            if frame.pixels_u8 is not None and self._pictures >= MAX_WAITING:
                self.dropped += 1
                frame = replace(frame, pixels_u8=None, fault=Reason.OVERRUN)
            self._append(frame)

    def take(self, timeout_s: float) -> Frame | None:
        """See FrameBuffer."""
        with self._changed:
            if not self._changed.wait_for(lambda: bool(self._ready), timeout_s):
                return None
            frame = self._ready.popleft()
            self._pictures -= frame.pixels_u8 is not None
            return frame

    def newer(self, frame: Frame) -> Frame:
        """See FrameBuffer. A frame stays its part's."""
        return frame

    def found(self) -> None:
        """The camera is there."""
        with self._changed:
            self._is_lost = False

    def lost(self, now: Moment) -> None:
        """The camera is away: parts pass unseen, nobody knows how many. One is told of `now`."""
        with self._changed:
            if not self._is_lost and not self._ahead:
                self._append(Frame(None, now, fault=Reason.NO_FRAME))
            self._is_lost = True
            self._give_up_ids()

    def _give_up_ids(self) -> None:
        while self._ahead:
            self._append(without_frame(self._ahead.popleft()))

    def _append(self, frame: Frame) -> None:
        self._ready.append(frame)
        self._pictures += frame.pixels_u8 is not None
        self._changed.notify_all()


class FiredParts(PartQueue):
    """Software-triggered: each trigger is to be fired at its time, or is told of where it is too late for it."""

    takes_ahead = False

    def __init__(self, tolerance_s: float, clock: Callable[[], float]) -> None:
        """A trigger may be fired up to `tolerance_s` late."""
        super().__init__(clock)
        self._tolerance_s = tolerance_s

    def due(self, timeout_s: float) -> Trigger | None:
        """Wait for a trigger whose time has come, and give it to be fired."""
        until_s = self._clock() + timeout_s
        with self._changed:
            while True:
                self._give_up_late_ones()
                now_s = self._clock()
                if self._ahead and self._ahead[0].target.s <= now_s:
                    return self._ahead.popleft()
                if now_s >= until_s:
                    return None
                waits_s = [until_s - now_s, *(trigger.target.s - now_s for trigger in self._ahead)]
                self._changed.wait(max(0.001, min(waits_s)))

    def ask(self, trigger: Trigger) -> None:
        """See TakesTriggers. Triggers are fired in the order of their times."""
        super().ask(trigger)
        with self._changed:
            self._ahead = deque(sorted(self._ahead, key=lambda each: each.target.s))

    def take(self, timeout_s: float) -> Frame | None:
        """See FrameBuffer."""
        with self._changed:
            self._give_up_late_ones()
        return super().take(timeout_s)

    def lost(self, now: Moment) -> None:
        """See PartQueue. A part that nobody has asked for is none; those asked for may still be fired in time."""

    def _give_up_late_ones(self) -> None:
        while self._ahead and self._clock() - self._ahead[0].target.s > self._tolerance_s:
            self._append(without_frame(self._ahead.popleft()))


def without_frame(trigger: Trigger) -> Frame:
    """Give the part of a trigger for which there is no frame."""
    return Frame(None, trigger.target, fault=Reason.NO_FRAME, trigger=trigger)
