"""Trigger messages that their sender repeats: judged once, and each answered with the events."""

from dataclasses import replace

import pytest

from runtime.commands.trigger_messages import MOST_REPEATS
from runtime.mqtt.message import Message
from runtime.parts.moment import Moment
from tests.runtime.commands.test_trigger_messages import Desk


def test_what_its_sender_repeats_is_judged_once_and_answered_with_its_event() -> None:
    desk, named = Desk(), b'{"part_id": "p", "id": 17}'
    desk.hear(named)
    desk.hear(b'{"id": "17", "part_id": "p", "attempt": 2}')  # while it is judged
    desk.hear(named, number=1, came_before=True)  # the same message, after a lost connection
    assert (desk.acknowledged, desk.told) == ([], [])
    desk.judge_all()
    assert (sorted(desk.acknowledged), desk.told) == ([1, 2], [(2, ("event 1",))])
    restarted = Desk(memory=desk.memory)
    restarted.hear(named, number=5)
    restarted.hear(b'{"part_id": "another", "id": 17}', number=6)
    restarted.judge_all()
    assert (restarted.acknowledged, restarted.told) == ([5, 6], [(5, ("event 1",))])
    assert len(desk.memory.causes) == 2


def test_what_is_repeated_of_a_part_without_frame_or_given_ahead_is_taken_once_too() -> None:
    desk, named = Desk(), b'{"part_id": "p", "id": "7"}'
    message = Message("t/trigger/top", named, False, was_kept=True)
    desk.handler.handle([replace(message, number=1), replace(message, number=2)])
    assert (len(desk.missed), desk.acknowledged, desk.told) == (1, [1, 2], [(2, ("event 1",))])
    ahead = Desk(is_ahead=True)
    for number in (1, 2, 3):
        ahead.hear(named, number)
    assert (ahead.acknowledged, ahead.missed, ahead.refused) == ([1, 2, 3], [], 0)
    ahead.queue.lost(Moment.now())  # each id that waits is told of
    assert [frame.trigger is not None for frame in iter(lambda: ahead.queue.take(0.0), None)] == [True]


@pytest.mark.parametrize("first", [0, 7])
def test_each_repeat_is_answered_also_where_it_comes_with_qos_0(first: int) -> None:
    desk = Desk()
    message = Message("t/trigger/top", b'{"part_id": "p", "id": "7"}', False)
    desk.handler.handle([replace(message, number=first), *(replace(message, response_topic=to) for to in "abc")])
    desk.judge_all()
    assert (desk.told, desk.answered) == ([(0, ("event 1",))] * 3, ["a", "b", "c"])


def test_repeats_with_qos_0_of_one_that_stays_under_way_do_not_fill_the_memory() -> None:
    desk = Desk()
    message = Message("t/trigger/top", b'{"part_id": "p", "id": "7"}', False)
    desk.handler.handle([message] * 2 * MOST_REPEATS)
    desk.handler.handle([replace(message, number=5)])  # of which the broker waits for the acknowledgement
    desk.judge_all()
    assert (len(desk.told), desk.acknowledged[-1]) == (MOST_REPEATS, 5)
