"""Reading a camera that runs freely: every frame that is new and wanted, on the reader's thread."""

import logging
import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from runtime.cameras.delay import Backlog
from runtime.cameras.intake import Intake
from runtime.parts.frame import Frame
from runtime.parts.moment import Moment
from runtime.parts.verdict import Reason

log = logging.getLogger(__name__)
SETTLE_S = 0.5
"""What was read while the camera was opened is given at once, and was not captured now: nothing so early is judged."""
SLOW_CLOCK = "clock is slow camera=%s seconds_a_second=%.2f remedy=%r"
SLOW_CLOCK_REMEDY = (
    "set its frame rate to one that it keeps, also in the dark; or the network carries less than it sends, and what is "
    "judged is older and older: lower its bit rate"
)
TOLD_AGAIN = 0.1
"""Where it is slower by so much more."""


class Capture(Protocol):
    """What is used of a VideoStream, or of a FactoryStream."""

    def grab(self) -> bool:
        """Wait for a frame; False where the stream is over or has timed out. May raise StreamError."""

    def retrieve(self) -> tuple[bool, Any]:
        """Give the pixels of what was grabbed; False where it is damaged."""

    def release(self) -> None:
        """Release the stream."""


def grabbed(capture: Capture, now: Moment) -> Frame:
    """Give what was grabbed `now`."""
    decoded, pixels = capture.retrieve()
    if not decoded:
        return Frame(None, now, fault=Reason.UNREADABLE)
    return Frame(np.asarray(pixels, np.uint8), now)


def as_it_came(stream: Any, now: Moment) -> Frame:
    """Give what was grabbed `now` of a video stream, which whoever judges it develops."""
    undeveloped = stream.undeveloped
    return Frame(None, now, fault=None if undeveloped else Reason.UNREADABLE, undeveloped=undeveloped)


def time_s(stream: Any) -> float:
    """Give the stream's own time of what was grabbed, in s."""
    return float(stream.time_s)


def read_freely(
    capture: Any,
    intake: Intake,
    stream_clock: Callable[[Any], float] | None = None,
    frame_of: Callable[[Any, Moment], Frame] = grabbed,
) -> str:
    """Read until the stream ends, or has stood still where nothing tells old frames from new. Returns why.

    Raises StreamError where what comes cannot be read.

    `stream_clock` reads the time of what was grabbed, in s; None where the stream tells no time of its own.
    """
    limit_s = intake.settings.stale_after_s
    backlog = Backlog(limit_s)
    told_creep = backlog.creep
    opened_s = heard_s = time.monotonic()
    while capture.grab():
        if intake.closing.is_set():
            return ""
        now = Moment.now()
        silent_s, heard_s = now.s - heard_s, now.s
        is_old = stream_clock is not None and backlog.is_old(stream_clock(capture), now.s)
        if backlog.creep > told_creep:
            log.warning(SLOW_CLOCK, intake.standing.name, 1 - backlog.creep, SLOW_CLOCK_REMEDY)
            told_creep = backlog.creep + TOLD_AGAIN
        if backlog.is_lost or (stream_clock is None and silent_s > limit_s):
            return "it was silent, and what it sends after that may be old; raise `stale_after_s` if it sends so seldom"
        if is_old or now.s - opened_s < SETTLE_S:
            continue
        intake.heard_s = now.s
        if intake.wants(now.s):
            intake.put(frame_of(capture, now))
    return "the stream ended, or gave nothing in time"
