"""The edge node: births, data and sequence numbers, without a broker."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.mqtt.message import Outgoing
from runtime.sparkplug.node import EdgeNode
from runtime.sparkplug.tags import CAMERA, STATION
from tests.runtime.sparkplug_host import Payload, values

PREFIX = "plant/press-3"


@pytest.fixture
def node() -> EdgeNode:
    return EdgeNode("line-1", "press-3", PREFIX, {"top": ["top"], "belt": ["belt-left", "belt-right"]}, lambda: 1000.0)


def event(**changed: Any) -> dict[str, Any]:
    return {
        **{"time": "2026-11-24T00:17:27.867Z", "replayed": False, "capture_time": "2026-11-24T00:17:27.793Z"},
        **{"id": "e1", "seq": 7, "boot_id": "b", "part_id": "4711", "job_id": None, "recipe": None, "simulated": True},
        "verdict": {"code": 2, "name": "NotOK", "reason": ["image_error", "tile_error"]},
        "score": {"value": 0.31, "threshold": 0.42, "margin": -0.18, "unit": "1"},
        **{"worst_tile": {"row": 1, "col": 2}, "model": {"sha256": "ab"}, "evidence": None, **changed},
    }


def sent(leaf: str, body: dict[str, Any]) -> Outgoing:
    return Outgoing(f"{PREFIX}/{leaf}", json.dumps(body).encode())


def read(message: Outgoing) -> Any:
    return Payload.FromString(message.payload)


def test_births_tell_every_tag_of_the_node_and_its_devices(node: EdgeNode) -> None:
    births = node.births(bd_seq=5)
    assert [birth.topic for birth in births] == [
        "spBv1.0/line-1/NBIRTH/press-3",
        *(f"spBv1.0/line-1/DBIRTH/press-3/{device}" for device in ("top", "belt-left", "belt-right")),
    ]
    assert {(birth.qos, birth.retain) for birth in births} == {(0, False)}
    told = values(read(births[0]))
    assert (told.pop("bdSeq"), told.pop("Node Control/Rebirth")) == (5, False)
    assert told == dict.fromkeys(STATION)
    assert values(read(births[1])) == dict.fromkeys(CAMERA)
    assert all(metric.datatype for birth in births for metric in read(birth).metrics)


def test_a_death_has_the_number_of_its_birth_and_no_sequence_number(node: EdgeNode) -> None:
    death = node.death(5)
    assert (death.topic, death.qos, death.retain) == ("spBv1.0/line-1/NDEATH/press-3", 1, False)
    assert values(read(death)) == {"bdSeq": 5}
    assert not read(death).HasField("seq")


@settings(max_examples=10)
@given(births=st.lists(st.integers(0, 300), min_size=1, max_size=3))
def test_sequence_numbers_rise_by_one_from_each_birth_and_begin_again_after_255(births: list[int]) -> None:
    node = EdgeNode("g", "s", PREFIX, {"a": ["a"]})
    for data in births:
        messages = node.births(0)
        for _ in range(data):
            messages += node.tell(sent("camera/a/status", {"state": "streaming", "reason": ""}), is_late=False)
        assert [read(message).seq for message in messages] == [number % 256 for number in range(data + 2)]


def test_an_event_becomes_one_message_with_the_time_of_its_picture(node: EdgeNode) -> None:
    node.births(0)
    (data,) = node.tell(sent("camera/top/result", event()), is_late=False)
    assert data.topic == "spBv1.0/line-1/DDATA/press-3/top"
    told = values(read(data))
    assert {told[f"Verdict/{key}"] for key in ("Code", "Name", "Reason")} == {2, "NotOK", "image_error,tile_error"}
    assert told["Score/Margin"] == -0.18
    assert (told["WorstTile/Row"], told["WorstTile/Col"], told["Part/Id"], told["Event/Seq"]) == (1, 2, "4711", 7)
    assert {metric.timestamp for metric in read(data).metrics} == {1795479447793}
    assert not any(metric.is_historical for metric in read(data).metrics)
    assert len(data.payload) < 800


def test_what_is_not_known_is_null(node: EdgeNode) -> None:
    node.births(0)
    (data,) = node.tell(sent("camera/top/result", event(score=None, worst_tile=None, part_id=None)), is_late=False)
    told = values(read(data))
    assert [told[name] for name in ("Score/Value", "Score/Margin", "WorstTile/Row", "Part/Id")] == [None] * 4


@pytest.mark.parametrize(("replayed", "is_late"), [(True, False), (False, True)])
def test_what_waited_is_history_and_the_newest_event_is_current_nonetheless(
    node: EdgeNode, replayed: bool, is_late: bool
) -> None:
    node.births(0)
    assert node.tell(sent("camera/top/last", event(id="e2")), is_late) == []
    histories = [
        node.tell(sent("camera/top/result", event(id=name, replayed=replayed, seq=seq)), is_late)[0]
        for seq, name in enumerate(["e1", "e2"])
    ]
    assert [{metric.is_historical for metric in read(data).metrics} for data in histories] == [{True}, {False}]
    assert values(read(node.births(1)[1]))["Event/Id"] == "e2"


def test_a_birth_tells_what_was_told_last(node: EdgeNode) -> None:
    node.births(0)
    status = {"state": "online", "reason": "paused by Ada", "version": "1", "boot_id": "b"}
    assert node.tell(sent("status", status), is_late=False)[0].topic == "spBv1.0/line-1/NDATA/press-3"
    node.tell(sent("model", {"name": "m", "version": "v", "sha256": "ab", "backend": "cpu"}), is_late=False)
    counted = {"ok": 3, "not_ok": 2, "not_decidable": 1, "discarded": 4}
    node.tell(sent("camera/top/counters", counted), is_late=False)
    node.tell(sent("camera/top/gap", {**event(), "first_seq": 1, "last_seq": 9}), is_late=False)
    births = [values(read(birth)) for birth in node.births(1)]
    assert (births[0]["Station/Reason"], births[0]["Model/Sha256"]) == ("paused by Ada", "ab")
    assert [births[1][f"Counters/{key}"] for key in ("Ok", "NotOk", "NotDecidable", "Discarded")] == [3, 2, 1, 4]
    assert (births[1]["Gap/FirstSeq"], births[1]["Gap/LastSeq"]) == (1, 9)


def test_the_state_of_a_camera_is_told_of_each_of_its_regions(node: EdgeNode) -> None:
    node.births(0)
    told = node.tell(sent("camera/belt/status", {"state": "reconnecting", "reason": "cable"}), is_late=False)
    assert [message.topic.rsplit("/", 1)[1] for message in told] == ["belt-left", "belt-right"]
    assert values(read(told[0])) == {"Camera/State": "reconnecting", "Camera/Reason": "cable"}


@pytest.mark.parametrize("topic", [f"{PREFIX}/metrics", f"{PREFIX}/camera/top/snapshot", "mes/camera/top/result"])
def test_other_messages_tell_nothing(node: EdgeNode, topic: str) -> None:
    assert node.tell(Outgoing(topic, b"\xff\xd8 no JSON"), is_late=False) == []


def test_an_event_of_a_camera_that_is_no_longer_configured_is_left_to_the_json(node: EdgeNode) -> None:
    assert node.tell(sent("camera/gone/result", event()), is_late=False) == []
