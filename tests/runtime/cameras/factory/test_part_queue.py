"""Part queues: each frame and each part id gives exactly one part, in order, whatever is slow or away."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.cameras.factory.part_queue import MAX_AHEAD, FiredParts, PartQueue
from runtime.cameras.triggering import MAX_WAITING
from runtime.parts.frame import Frame, Trigger
from runtime.parts.moment import Moment
from runtime.parts.verdict import Reason
from tests.runtime.waiting import Clock

PIXELS = np.full((2, 2, 3), 120, np.uint8)


def frame(captured_s: float) -> Frame:
    return Frame(PIXELS, Moment(0.0, captured_s))


def trigger(part_id: str, target_s: float = 0.0) -> Trigger:
    return Trigger(part_id, None, None, None, Moment(0.0, target_s))


def taken(queue: PartQueue) -> list[Frame]:
    found = []
    while (each := queue.take(0.0)) is not None:
        found.append(each)
    return found


def ids(frames: list[Frame]) -> list[str | None]:
    return [each.trigger.part_id if each.trigger else None for each in frames]


@given(st.lists(st.sampled_from(["frame", "id", "gap", "take"]), max_size=200))
def test_ids_given_ahead_are_joined_to_frames_and_to_lost_ones_in_order(happenings: list[str]) -> None:
    queue, results, asked, passed = PartQueue(Clock()), list[Frame](), 0, 0
    for happening in happenings:
        if happening == "id":
            queue.ask(trigger(str(asked)))
            asked += 1
        elif happening == "take":
            results += taken(queue)
        else:
            queue.put(
                frame(passed) if happening == "frame" else Frame(None, Moment(0.0, passed), fault=Reason.NO_FRAME)
            )
            passed += 1
    results += taken(queue)
    assert [each.captured.s for each in results] == list(range(passed))
    named = [each for each in ids(results) if each is not None]
    assert named == [str(number) for number in range(len(named))]
    left_over = 0
    while ids([*taken(queue)]) == [] and left_over < asked - len(named):
        queue.put(frame(0.0))
        (rest,) = taken(queue)
        assert ids([rest]) == [str(len(named) + left_over)]
        left_over += 1
    assert len(named) + left_over == asked


def test_parts_that_come_faster_than_they_are_judged_go_on_without_their_frames() -> None:
    queue = PartQueue(Clock())
    for number in range(MAX_WAITING + 5):
        queue.ask(trigger(str(number)))
        queue.put(frame(number))
    assert queue.dropped == 5
    results = taken(queue)
    assert ids(results) == [str(number) for number in range(MAX_WAITING + 5)]
    assert [each.fault for each in results] == [None] * MAX_WAITING + [Reason.OVERRUN] * 5
    assert all(each.pixels_u8 is None for each in results[MAX_WAITING:])
    queue.put(frame(0))
    assert [each.fault for each in taken(queue)] == [None]


def test_while_the_camera_is_away_one_part_is_told_of_or_each_that_has_an_id() -> None:
    queue = PartQueue(Clock())
    queue.lost(Moment.now())
    queue.lost(Moment.now())
    assert [(each.fault, each.trigger) for each in taken(queue)] == [(Reason.NO_FRAME, None)]
    queue.ask(trigger("unseen"))
    assert [(each.fault, ids([each])) for each in taken(queue)] == [(Reason.NO_FRAME, ["unseen"])]
    queue.found()
    queue.ask(trigger("a"))
    queue.ask(trigger("b"))
    queue.lost(Moment.now())
    results = taken(queue)
    assert ids(results) == ["a", "b"]
    assert {each.fault for each in results} == {Reason.NO_FRAME}


def test_no_more_ids_are_taken_than_memory_should_hold() -> None:
    queue = PartQueue(Clock())
    for number in range(MAX_AHEAD):
        queue.ask(trigger(str(number)))
    with pytest.raises(ValueError, match="1000 part ids wait"):
        queue.ask(trigger("more"))


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(-2, 2)), max_size=20), st.floats(0.01, 1.0))
def test_every_trigger_is_fired_in_its_time_or_told_of(asked: list[tuple[float, float]], tolerance_s: float) -> None:
    """`asked`: when a message comes, and how far from then the part's time is."""
    clock = Clock()
    queue = FiredParts(tolerance_s, clock)
    fired: list[str] = []
    late: list[Frame] = []

    def look() -> None:
        late.extend(taken(queue))
        while (due := queue.due(0.0)) is not None:
            assert 0 <= clock.now_s - due.target.s <= tolerance_s
            fired.append(due.part_id)

    moments: list[tuple[float, Any]] = [(at_s, (number, offset_s)) for number, (at_s, offset_s) in enumerate(asked)]
    moments += [(tick / 20, None) for tick in range(400)]
    for at_s, message in sorted(moments, key=lambda moment: moment[0]):
        clock.now_s = at_s
        if message is not None:
            queue.ask(trigger(str(message[0]), at_s + message[1]))
        look()
    clock.now_s = 30.0
    look()
    assert sorted(fired + [each.trigger.part_id for each in late if each.trigger]) == sorted(
        map(str, range(len(asked)))
    )
    assert {each.fault for each in late} <= {Reason.NO_FRAME}
    for number, (_at_s, offset_s) in enumerate(asked):
        if offset_s < -tolerance_s - 1e-9:
            assert str(number) not in fired
