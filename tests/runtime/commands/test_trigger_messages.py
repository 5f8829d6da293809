"""Trigger messages: read strictly, refused and counted where they are malformed or may be old."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.cameras.triggering import TriggeredFrames
from runtime.commands.trigger_messages import TriggerHandler, parse_trigger
from runtime.delivery.message import Message
from runtime.parts.frame import Trigger
from tests.runtime.cameras.test_triggering import Clock, taken

NOW_AT_S, NOW_S = 1_795_000_000.0, 500.0


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
    desk = TriggerHandler(TriggeredFrames(0.1, Clock()), Clock(), lambda: NOW_AT_S)
    desk.handle(Message("t/trigger/top", payload, False))
    assert desk.refused == 1


def test_a_retained_trigger_may_be_old_and_is_refused() -> None:
    joined = TriggeredFrames(0.1, Clock())
    desk = TriggerHandler(joined, Clock(), lambda: NOW_AT_S)
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
    joined = TriggeredFrames(0.1, clock)
    desk = TriggerHandler(joined, clock, lambda: NOW_AT_S)
    desk.handle(Message("t/trigger/top", payload, False))
    clock.now_s = 1e3
    assert len(taken(joined)) + desk.refused == 1
