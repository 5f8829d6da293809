"""Triggered frames: joined to the frame nearest in time, never dropped, on one clock only."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from runtime.cameras import triggering
from runtime.cameras.triggering import HISTORY_S, MAX_WAITING, TriggeredFrames
from runtime.parts.frame import Frame, Trigger
from runtime.parts.moment import Moment
from runtime.parts.verdict import Reason
from tests.runtime.waiting import Clock

PIXELS = np.full((2, 2, 3), 120, np.uint8)


def frame(captured_s: float) -> Frame:
    return Frame(PIXELS, Moment(0.0, captured_s))


def trigger(target_s: float, part_id: str = "a") -> Trigger:
    return Trigger(part_id, None, None, None, Moment(0.0, target_s))


def taken(joined: TriggeredFrames) -> list[Frame]:
    found = []
    while (frame := joined.take(0.0)) is not None:
        found.append(frame)
    return found


@given(
    st.lists(st.floats(0, 10), max_size=30),
    st.lists(st.floats(0, 10), max_size=15),
    st.floats(0.01, 1.0),
)
def test_every_trigger_gets_the_nearest_frame_within_the_tolerance_or_none(
    frames_s: list[float], targets_s: list[float], tolerance_s: float
) -> None:
    clock = Clock()
    joined = TriggeredFrames(tolerance_s, clock)
    happenings = sorted([(s, 0, 0) for s in frames_s] + [(s, 1, number) for number, s in enumerate(targets_s)])
    results: list[Frame] = []
    for moment_s, kind, number in happenings:
        clock.now_s = moment_s
        results += taken(joined)
        if kind == 0:
            joined.put(frame(moment_s))
        else:
            joined.ask(trigger(moment_s, str(number)))
    clock.now_s = 20.0
    results += taken(joined)
    assert sorted(int(each.trigger.part_id) for each in results if each.trigger) == list(range(len(targets_s)))
    for each in results:
        assert each.trigger is not None
        distances = [abs(s - each.trigger.target.s) for s in frames_s]
        if each.fault is None:
            assert abs(each.captured.s - each.trigger.target.s) == min(distances)
            assert min(distances) <= tolerance_s
        else:
            assert each.fault == Reason.NO_FRAME
            assert each.pixels_u8 is None
            assert min(distances, default=99.0) > tolerance_s


def test_a_trigger_waits_for_the_frame_that_is_nearer() -> None:
    clock = Clock()
    joined = TriggeredFrames(1.0, clock)
    joined.put(frame(9.5))
    clock.now_s = 10.0
    joined.ask(trigger(10.0))
    assert taken(joined) == []
    joined.put(frame(10.1))
    (found,) = taken(joined)
    assert found.captured.s == 10.1


def film(joined: TriggeredFrames, clock: Clock, until_s: float, pixels_u8: NDArray[np.uint8] = PIXELS) -> None:
    for number in range(round(until_s * 25) + 1):
        clock.now_s = number / 25
        joined.put(Frame(pixels_u8, Moment(0.0, clock.now_s)))


@pytest.mark.parametrize(("late_s", "is_kept"), [(0.0, True), (1.9, True), (2.5, False)])
def test_a_trigger_that_comes_late_gets_its_own_frame_or_none(late_s: float, is_kept: bool) -> None:
    clock = Clock()
    joined = TriggeredFrames(1.0, clock)
    film(joined, clock, 10.0)
    joined.ask(trigger(10.0 - late_s))
    (found,) = taken(joined)
    assert found.fault == (None if is_kept else Reason.NO_FRAME)
    assert abs(found.captured.s - (10.0 - late_s)) <= 1 / 50


def test_frames_are_kept_for_late_triggers_only_as_long_as_there_is_memory_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(triggering, "MOST_BYTES", 10_000_000)
    clock = Clock()
    joined = TriggeredFrames(10.0, clock)
    large = np.zeros((1000, 1000), np.uint8)
    film(joined, clock, 20.0, large)
    kept_s = 20.0 - joined._recent[0].captured.s
    assert HISTORY_S - 1 / 25 <= kept_s <= HISTORY_S
    joined.ask(trigger(19.0))
    joined.ask(trigger(19.8))
    assert [each.fault for each in taken(joined)] == [Reason.NO_FRAME, None]


def test_parts_triggered_faster_than_they_are_judged_go_on_without_their_frames() -> None:
    clock = Clock()
    joined = TriggeredFrames(1.0, clock)
    for number in range(MAX_WAITING + 5):
        joined.ask(trigger(0.0, str(number)))
    joined.put(frame(0.0))
    results = taken(joined)
    assert [each.trigger.part_id for each in results if each.trigger] == [str(n) for n in range(MAX_WAITING + 5)]
    assert [each.fault for each in results[-5:]] == [Reason.OVERRUN] * 5
    assert {each.fault for each in results[:-5]} == {None}
