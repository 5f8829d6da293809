"""The latest frame wins, and a fault is told."""

from typing import Any

from runtime.cameras.frame_buffer import LatestFrame
from runtime.parts.frame import Frame
from runtime.parts.moment import Moment
from runtime.parts.verdict import Reason
from tests.runtime.cameras.test_triggering import frame


def test_the_newest_frame_wins_but_a_fault_is_told() -> None:
    newest = LatestFrame()
    newest.put(frame(1.0))
    newest.put(frame(2.0))
    first: Any = newest.take(0.0)
    assert (first.captured.s, newest.dropped) == (2.0, 1)
    newest.put(frame(3.0))
    assert newest.newer(Frame(None, Moment(0.0, 2.5), fault=Reason.NO_FRAME)).captured.s == 2.5
    assert newest.newer(first).captured.s == 3.0
    assert newest.dropped == 2
