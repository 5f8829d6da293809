"""Triggers: read strictly, joined to the frame nearest in time, never dropped, on one clock only."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.camera import Frame, Trigger
from runtime.connection import Message
from runtime.trigger import MAX_WAITING, Joined, Newest, TriggerDesk, parse_trigger
from runtime.verdict import Reason

PIXELS = np.full((2, 2, 3), 120, np.uint8)
NOW_AT_S, NOW_S = 1_795_000_000.0, 500.0


def frame(captured_s: float) -> Frame:
    return Frame(PIXELS, 0.0, captured_s)


def trigger(target_s: float, part_id: str = "a") -> Trigger:
    return Trigger(part_id, None, None, None, 0.0, target_s)


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def taken(joined: Joined) -> list[Frame]:
    found = []
    while (frame := joined.take(0.0)) is not None:
        found.append(frame)
    return found


def test_a_trigger_without_a_time_means_now() -> None:
    read = parse_trigger(b'{"part_id": "p", "job_id": "j", "recipe": "r", "id": "7", "new": 1}', NOW_AT_S, NOW_S)
    assert read == Trigger("p", "j", "r", "7", NOW_AT_S, NOW_S)


def test_a_trigger_with_a_time_is_carried_over_to_the_monotonic_clock() -> None:
    read = parse_trigger(b'{"part_id": "p", "time": "2026-11-18T12:06:39.5+01:00"}', NOW_AT_S, NOW_S)
    assert (read.target_s - NOW_S, read.at_s - NOW_AT_S) == (-0.5, -0.5)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b'{"job_id": "j"}',
        b'{"part_id": ""}',
        b'{"part_id": 7}',
        b'{"part_id": "p", "time": "2026-11-18T12:00:00"}',
        b'{"part_id": "p", "time": "2036-11-18T12:00:00Z"}',
        b'{"part_id": "p", "time": "0001-01-01T00:00:00+14:00"}',
        b'{"part_id": "' + b"p" * 10_000 + b'"}',
        b"\xff\xfe",
    ],
)
def test_a_malformed_trigger_is_refused_and_counted(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parse_trigger(payload, NOW_AT_S, NOW_S)
    desk = TriggerDesk(Joined(0.1, Clock()), Clock(), lambda: NOW_AT_S)
    desk.handle(Message("t/trigger/top", payload, False))
    assert desk.refused == 1


def test_a_retained_trigger_may_be_old_and_is_refused() -> None:
    joined = Joined(0.1, Clock())
    desk = TriggerDesk(joined, Clock(), lambda: NOW_AT_S)
    desk.handle(Message("t/trigger/top", b'{"part_id": "p"}', True))
    assert desk.refused == 1
    assert taken(joined) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=10,
)
NEARLY = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("part_id", "job_id", "recipe", "time", "id"), JSON)
) | st.fixed_dictionaries({"part_id": st.text(min_size=1), "time": st.datetimes().map(lambda t: f"{t.isoformat()}Z")})


@given(st.binary() | NEARLY.map(lambda value: json.dumps(value).encode()) | JSON.map(lambda v: json.dumps(v).encode()))
def test_whatever_is_sent_is_either_taken_or_refused(payload: bytes) -> None:
    clock = Clock()
    joined = Joined(0.1, clock)
    desk = TriggerDesk(joined, clock, lambda: NOW_AT_S)
    desk.handle(Message("t/trigger/top", payload, False))
    clock.now_s = 1e3
    assert len(taken(joined)) + desk.refused == 1


@given(
    st.lists(st.floats(0, 10), max_size=30),
    st.lists(st.floats(0, 10), max_size=15),
    st.floats(0.01, 1.0),
)
def test_every_trigger_gets_the_nearest_frame_within_the_tolerance_or_none(
    frames_s: list[float], targets_s: list[float], tolerance_s: float
) -> None:
    clock = Clock()
    joined = Joined(tolerance_s, clock)
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
        distances = [abs(s - each.trigger.target_s) for s in frames_s]
        if each.fault is None:
            assert abs(each.captured_s - each.trigger.target_s) == min(distances)
            assert min(distances) <= tolerance_s
        else:
            assert each.fault == Reason.NO_FRAME
            assert each.pixels_bgr_u8 is None
            assert min(distances, default=99.0) > tolerance_s


def test_a_trigger_waits_for_the_frame_that_is_nearer() -> None:
    clock = Clock()
    joined = Joined(1.0, clock)
    joined.put(frame(9.5))
    clock.now_s = 10.0
    joined.ask(trigger(10.0))
    assert taken(joined) == []
    joined.put(frame(10.1))
    (found,) = taken(joined)
    assert found.captured_s == 10.1


def test_parts_triggered_faster_than_they_are_judged_go_on_without_their_frames() -> None:
    clock = Clock()
    joined = Joined(1.0, clock)
    for number in range(MAX_WAITING + 5):
        joined.ask(trigger(0.0, str(number)))
    joined.put(frame(0.0))
    results = taken(joined)
    assert [each.trigger.part_id for each in results if each.trigger] == [str(n) for n in range(MAX_WAITING + 5)]
    assert [each.fault for each in results[-5:]] == [Reason.OVERRUN] * 5
    assert {each.fault for each in results[:-5]} == {None}


def test_the_newest_frame_wins_but_a_fault_is_told() -> None:
    newest = Newest()
    newest.put(frame(1.0))
    newest.put(frame(2.0))
    first: Any = newest.take(0.0)
    assert (first.captured_s, newest.dropped) == (2.0, 1)
    newest.put(frame(3.0))
    assert newest.newer(Frame(None, 0.0, 2.5, fault=Reason.NO_FRAME)).captured_s == 2.5
    assert newest.newer(first).captured_s == 3.0
    assert newest.dropped == 2
