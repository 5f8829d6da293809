"""Trigger messages: read strictly, refused and counted where they are malformed or may be old."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.timestamps import rfc3339
from runtime.cameras.factory.part_queue import PartQueue
from runtime.cameras.triggering import MAX_WAITING, TriggeredFrames
from runtime.commands.crowd import CROWD, CROWD_S
from runtime.commands.trigger_messages import Missed, TriggerHandler
from runtime.commands.trigger_payload import read_payload
from runtime.mqtt.message import Message
from runtime.parts.frame import Trigger
from runtime.parts.moment import Moment
from runtime.parts.verdict import Reason
from tests.runtime.cameras.test_triggering import taken
from tests.runtime.waiting import Clock

NOW_AT_S, NOW_S = 1_795_000_000.0, 500.0


class Remembering:
    """What is on disk, as an outbox knows it over all runs."""

    def __init__(self) -> None:
        self.causes: dict[bytes, list[str]] = {}

    def knows(self, cause: bytes) -> bool:
        return cause in self.causes

    def learn(self, cause: bytes) -> None:
        self.causes.setdefault(cause, [])

    def forget(self, cause: bytes) -> None:
        self.causes.pop(cause, None)

    def answers(self, cause: bytes) -> list[str]:
        return self.causes.get(cause, [])

    def store(self, trigger: Trigger) -> None:
        assert trigger.cause is not None
        self.causes[trigger.cause] = [f"event {len(self.causes) + 1}"] if trigger.id else []


def parse_trigger(payload: bytes) -> Trigger:
    return read_payload(payload).trigger(b"cause", Moment(NOW_AT_S, NOW_S))


class Desk:
    """A handler for one camera, `top`, and what came of it."""

    def __init__(self, is_ahead: bool = False, memory: Remembering | None = None) -> None:
        self.clock = Clock()
        self.joined = TriggeredFrames(0.1, self.clock)
        self.queue = PartQueue(self.clock)
        self.acknowledged: list[int] = []
        self.missed: list[Missed] = []
        self.memory = memory or Remembering()
        self.told: list[tuple[int, tuple[str, ...]]] = []
        """Of each message that gave no event its number, and which it gave before."""
        self.answered: list[str | None] = []
        """Where each of those is answered."""
        self.number = 0
        self.handler = TriggerHandler(
            {"top": self.queue if is_ahead else self.joined},
            lambda message: self.acknowledged.append(message.number),
            self.memory,
            self.miss,
            self.tell,
            self.clock,
            lambda: NOW_AT_S,
        )

    def hear(self, payload: bytes, number: int | None = None, **said: Any) -> None:
        self.number += 1
        message = Message("t/trigger/top", payload, said.pop("retained", False), number=number or self.number)
        self.handler.handle([replace(message, **said)])

    def tell(self, _camera: str, message: Message, _reason: str, events: Sequence[str]) -> None:
        self.told.append((message.number, tuple(events)))
        self.answered.append(message.response_topic)

    def miss(self, missed: Sequence[Missed]) -> None:
        self.missed += missed
        for each in missed:
            self.memory.store(each.trigger)

    @property
    def refused(self) -> int:
        return self.handler.refused["top"]

    def judge_all(self) -> None:
        """Judge what has a frame or can have none, as a station does."""
        self.clock.now_s += 1.0
        for frame in taken(self.joined):
            assert frame.trigger is not None
            self.memory.store(frame.trigger)
            self.handler.stored(frame.trigger)


def test_a_trigger_is_acknowledged_when_its_event_is_stored_and_not_before() -> None:
    desk = Desk()
    desk.hear(b'{"part_id": "p"}')
    assert desk.acknowledged == []
    desk.judge_all()
    assert desk.acknowledged == [1]


def test_one_that_comes_again_is_told_of_once() -> None:
    desk = Desk()
    desk.hear(b'{"part_id": "p"}', number=7)
    desk.hear(b'{"part_id": "p"}', number=7, came_before=True)  # the connection was lost while it was judged
    desk.judge_all()
    assert desk.acknowledged == [7]
    desk.hear(b'{"part_id": "p"}', number=7, came_before=True)  # its acknowledgement was lost
    assert desk.acknowledged == [7, 7]
    assert taken(desk.joined) == []
    desk.hear(b'{"part_id": "p"}', number=7)  # another one, alike in every byte
    desk.judge_all()
    assert desk.acknowledged == [7, 7, 7]
    assert desk.missed == []


def test_what_was_told_while_we_were_away_is_not_joined_to_the_part_that_stands_there_now() -> None:
    desk = Desk()
    desk.hear(b'{"part_id": "p"}', was_kept=True)
    assert [(each.trigger.part_id, each.reason) for each in desk.missed] == [("p", Reason.NO_FRAME)]
    assert desk.acknowledged == [1]
    assert taken(desk.joined) == []


def test_what_comes_faster_than_it_is_judged_is_told_at_once_and_bounded() -> None:
    desk = Desk()
    for number in range(1000):
        desk.hear(b'{"part_id": "%d"}' % number)
    assert {each.reason for each in desk.missed} == {Reason.OVERRUN}
    assert len(desk.missed) == 1000 - MAX_WAITING
    desk.judge_all()
    assert sorted(desk.acknowledged) == list(range(1, 1001))
    desk.hear(b'{"part_id": "next"}')
    assert len(desk.missed) == 1000 - MAX_WAITING


def test_a_crowd_that_stays_is_more_than_can_be_judged() -> None:
    desk = Desk()
    ahead = rfc3339(NOW_AT_S + 9)
    for number in range(CROWD):
        desk.hear(b'{"part_id": "%d", "time": "%s"}' % (number, ahead.encode()))  # they wait for their frames
    assert desk.missed == []
    for number in range(CROWD + 1):
        desk.hear(b'{"part_id": "%d"}' % number)
    desk.clock.now_s += CROWD_S + 0.1
    desk.hear(b'{"part_id": "late"}')
    assert [(each.trigger.part_id, each.reason) for each in desk.missed] == [("late", Reason.OVERRUN)]


def test_ids_that_are_given_ahead_are_acknowledged_at_once_and_taken_once() -> None:
    desk = Desk(is_ahead=True)
    for number in range(1, 101):
        desk.hear(b'{"part_id": "%d"}' % number, number)
    desk.hear(b'{"part_id": "100"}', 100, came_before=True)
    desk.queue.lost(Moment.now())  # each is judged, and not acknowledged again: its number may be another's by now
    for frame in iter(lambda: desk.queue.take(0.0), None):
        desk.handler.stored(frame.trigger or Trigger("none", None, None, None, frame.captured))
    assert desk.acknowledged == [*range(1, 101), 100]
    assert (desk.missed, desk.refused) == ([], 0)


def test_an_earlier_message_that_was_alike_in_every_byte_is_not_taken_for_one_that_comes_again() -> None:
    desk = Desk()
    desk.hear(b'{"part_id": 3}', number=1)
    desk.judge_all()
    desk.hear(b'{"part_id": 3}', number=1)  # the broker was installed anew, and counts from 1 again
    restarted = Desk(memory=desk.memory)  # before it was judged
    restarted.hear(b'{"part_id": 3}', number=1, came_before=True)
    assert restarted.acknowledged == []
    restarted.judge_all()
    assert restarted.acknowledged == [1]


def test_two_parts_are_two_where_a_broker_lost_its_memory_while_the_first_waited() -> None:
    desk = Desk()
    for _ in range(2):
        desk.hear(b'{"part_id": 3}', number=1)
    desk.clock.now_s += 1.0
    causes = {frame.trigger.cause for frame in taken(desk.joined) if frame.trigger}
    assert len(causes) == 2


def test_what_a_camera_that_died_was_told_of_is_told_once_whether_it_was_met_or_not() -> None:
    desk = Desk()
    desk.hear(b'{"part_id": "in a batch"}')
    desk.clock.now_s += 1.0
    (met,) = taken(desk.joined)
    assert met.trigger is not None
    desk.handler.met(met.trigger)  # the engine is away: it is judged when it is back, however long that takes
    desk.hear(b'{"part_id": "waits"}')
    desk.handler.gone("top")
    desk.hear(b'{"part_id": "later"}')
    desk.clock.now_s += 100.0
    desk.handler.gone("top")
    assert [(each.trigger.part_id, each.reason) for each in desk.missed] == [
        ("waits", Reason.NO_FRAME),
        ("later", Reason.NO_FRAME),
    ]
    assert desk.acknowledged == [2, 3]
    desk.handler.stored(met.trigger)
    assert desk.acknowledged == [2, 3, 1]
    desk.handler.gone("a file")


def test_a_trigger_without_a_time_means_now() -> None:
    read = parse_trigger(b'{"part_id": "p", "job_id": "j", "recipe": "r", "id": "7", "new": 1}')
    assert read == Trigger("p", "j", "r", "7", Moment(NOW_AT_S, NOW_S), b"cause")


def test_whole_numbers_are_taken_as_text() -> None:
    read = parse_trigger(b'{"part_id": 4711, "job_id": 12, "recipe": 3, "id": 18446744073709551616}')
    assert (read.part_id, read.job_id, read.recipe, read.id) == ("4711", "12", "3", "18446744073709551616")


def test_a_trigger_with_a_time_is_carried_over_to_the_monotonic_clock() -> None:
    read = parse_trigger(b'{"part_id": "p", "time": "2026-11-18T12:06:39.5+01:00"}')
    assert (read.target.s - NOW_S, read.target.at_s - NOW_AT_S) == (-0.5, -0.5)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b'{"job_id": "j"}',
        b'{"part_id": ""}',
        b'{"part_id": 7.5}',
        b'{"part_id": true}',
        b'{"part_id": ' + b"7" * 5000 + b"}",
        b'{"part_id": "p", "time": "2026-11-18T12:00:00"}',
        b'{"part_id": "p", "time": "2036-11-18T12:00:00Z"}',
        b'{"part_id": "p", "time": "0001-01-01T00:00:00+14:00"}',
        b'{"part_id": "' + b"p" * 10_000 + b'"}',
        b"\xff\xfe",
    ],
)
def test_a_malformed_trigger_is_refused_and_counted(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parse_trigger(payload)
    desk = Desk()
    desk.hear(payload)
    assert (desk.refused, len(desk.acknowledged)) == (1, 1)


def test_a_retained_trigger_may_be_old_and_is_refused() -> None:
    desk = Desk()
    desk.hear(b'{"part_id": "p"}', retained=True)
    assert desk.refused == 1
    assert taken(desk.joined) == []


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
    desk = Desk()
    desk.hear(payload)
    desk.clock.now_s = 1e3
    assert len(taken(desk.joined)) + desk.refused == 1
