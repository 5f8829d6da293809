"""Verdicts at once: each part is told of exactly once, by its deadline; what nobody judged in time never passes."""

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ConfigError
from core.thresholds import Thresholds
from runtime.actuator.verdicts import Verdicts
from runtime.bundles.bundle import load_bundle
from runtime.cameras.settings import VerdictSettings
from runtime.delivery.publisher import Publisher
from runtime.events.origin import Origin
from runtime.events.topics import Topics
from runtime.mqtt.message import Outgoing
from runtime.parts.frame import Trigger
from runtime.parts.moment import Moment
from runtime.parts.part import Part
from runtime.parts.verdict import judge
from tests.runtime.broker import Mosquitto
from tests.runtime.command import at, folder, run_command, write_config
from tests.runtime.contract import PREFIX, check
from tests.runtime.mes import Subscriber
from tests.runtime.pictures import write_pictures
from tests.runtime.plc import Plc
from tests.runtime.servers import MjpegServer
from tests.runtime.waiting import WAIT_S, wait_until

LATE = {"code": 3, "name": "NotDecidable", "reason": ["late"], "id": None, "seq": None}


class Wire:
    """Keeps what is sent, as a publisher would take it."""

    def __init__(self) -> None:
        self.sent: list[Outgoing] = []

    def send(self, message: Outgoing) -> None:
        self.sent.append(message)

    def told(self) -> list[dict[str, Any]]:
        return [json.loads(message.payload) for message in self.sent]


@pytest.fixture(scope="module")
def origin(bundle_path: Path) -> Origin:
    return Origin("press-3", "boot", "onnxruntime/cpu", load_bundle(bundle_path).manifest)


def verdicts(wire: Wire, deadline_ms: float) -> Verdicts:
    told = {"top": VerdictSettings(deadline_ms=deadline_ms)}
    return Verdicts(told, cast(Publisher, wire), Topics("p").verdict)


def part(number: int, camera: str = "top") -> Part:
    now_s = time.monotonic()
    trigger = Trigger(f"part-{number}", None, None, None, Moment(0.0, now_s), b"%d" % number)
    return Part(camera, Moment(0.0, now_s), (4, 4), None, (), trigger)


def good(thresholds: Thresholds) -> Any:
    return judge(np.full(len(thresholds.values), 1e-9, np.float32), thresholds)


def test_what_has_no_verdict_in_time_is_told_as_late_and_nothing_else_is_told_of_it(origin: Origin) -> None:
    wire = Wire()
    under_test = verdicts(wire, deadline_ms=50)
    under_test.start()
    slow, judgement = part(1), good(origin.manifest.thresholds)
    assert slow.trigger is not None
    under_test.expect_triggered("top", slow.trigger)
    under_test.expect(slow)  # its frame came, too
    wait_until(lambda: bool(wire.sent))
    assert (time.monotonic() - slow.captured.s) >= 0.05
    told = under_test.stand(slow, judgement, 1, origin)
    under_test.stop()
    assert (wire.told(), wire.sent[0].topic) == ([{**LATE, "part_id": "part-1"}], "p/camera/top/verdict")
    assert told is not None
    assert (told.is_late, told.after_ms >= 50, under_test.late) == (True, True, {"top": 1})


def test_a_verdict_is_told_when_it_stands_and_a_camera_without_an_actuator_is_left_alone(origin: Origin) -> None:
    wire = Wire()
    under_test = verdicts(wire, deadline_ms=60_000)
    one, judgement = part(1), good(origin.manifest.thresholds)
    under_test.expect(one)
    told = under_test.stand(one, judgement, 7, origin)
    assert told is not None
    assert (told.is_late, under_test.stand(part(2, "side"), judgement, 8, origin)) == (False, None)
    (said,) = wire.told()
    assert (said["code"], said["seq"], said["part_id"], said["reason"]) == (1, 7, "part-1", [])
    assert (wire.sent[0].qos, wire.sent[0].retain) == (0, False)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.booleans(), min_size=1, max_size=8))
def test_each_part_is_told_exactly_once(origin: Origin, in_time: list[bool]) -> None:
    wire = Wire()
    under_test = verdicts(wire, deadline_ms=20)
    parts, judgement = [part(number) for number in range(len(in_time))], good(origin.manifest.thresholds)
    for each in parts:
        under_test.expect(each)
    under_test.start()
    late = []
    for seq, (each, is_soon) in enumerate(zip(parts, in_time, strict=True), start=1):
        if not is_soon:
            wait_until(lambda each=each: each.part_id in {said["part_id"] for said in wire.told()})  # type: ignore[misc]
        told = under_test.stand(each, judgement, seq, origin)
        assert told is not None
        late.append(told.is_late)
    under_test.stop()
    assert sorted(said["part_id"] for said in wire.told()) == sorted(str(each.part_id) for each in parts)
    assert {said["part_id"]: said["reason"] == ["late"] for said in wire.told()} == {
        str(each.part_id): was_late for each, was_late in zip(parts, late, strict=True)
    }


def test_a_plc_s_coil_follows_the_verdicts_and_is_on_while_nobody_judges(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber, plc: Plc
) -> None:
    pictures, inbox = write_pictures(tmp_path / "pictures", good=3, bad=2), tmp_path / "inbox"
    inbox.mkdir()
    camera = {"kind": "watch", "path": str(inbox), "verdict": {"deadline_ms": 30_000, "coil": 5}}
    modbus = {"host": "127.0.0.1", "port": plc.port, "heartbeat_register": 9, "timeout_s": WAIT_S}
    config = write_config(tmp_path, bundle_path, {"top": camera}, broker=at(mosquitto.port), modbus=modbus)
    process = run_command(config)
    plc.wait_for(lambda: plc.values("coil", 5) == [1] and plc.values("register", 9)[:1] == [1])
    switched = [1]
    for picture, is_on in zip(sorted(pictures.iterdir()), (0, 0, 0, 1, 1), strict=True):
        picture.rename(inbox / picture.name)
        switched.append(is_on)
        plc.wait_for(lambda: plc.values("coil", 5) == switched)
    mes.wait_for(lambda: len(mes.events()) == 5 and len(mes.events("top/verdict")) == 5)
    process.send_signal(signal.SIGTERM)
    _out, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, err
    assert plc.values("coil", 5) == [*switched, 1]
    told = [(said["id"], said["code"]) for said in mes.events("top/verdict")]
    assert told == [(event["id"], event["verdict"]["code"]) for event in mes.events()]
    assert [event["actuator"]["late"] for event in mes.events()] == [False] * 5
    assert {check(message) for message in mes.messages} >= {"verdict", "result"}


def test_a_part_whose_verdict_comes_late_is_rejected_in_time_and_its_event_says_so(
    tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber, plc: Plc, mjpeg: MjpegServer
) -> None:
    live = {"kind": "http", "url": mjpeg.url, "trigger": {"tolerance_ms": 4000}, "frozen_after": None}
    camera = {**live, "verdict": {"deadline_ms": 200, "coil": 0}}
    modbus = {"host": "127.0.0.1", "port": plc.port, "heartbeat_register": 1}
    config = write_config(tmp_path, bundle_path, {"top": camera}, broker=at(mosquitto.port), modbus=modbus)
    process = run_command(config)
    mes.wait_for(lambda: any(status["state"] == "streaming" for status in mes.events("top/status")))
    plc.wait_for(lambda: len(plc.values("register", 1)) >= 2)
    mjpeg.hang_up.set()
    mes.wait_for(lambda: mes.events("top/status")[-1]["state"] == "reconnecting")
    plc.stop()
    plc.start()  # it forgot what was written: at the next try every coil is on
    heard = len(plc.written)
    plc.wait_for(lambda: len(plc.written) > heard)
    mes.send(f"{PREFIX}/trigger/top", b'{"part_id": "4711"}')
    mes.wait_for(lambda: len(mes.events("top/verdict")) == 1)
    assert mes.events("top/verdict") == [{**LATE, "part_id": "4711"}]
    assert mes.events() == []  # its event takes the time that it needs
    mes.wait_for(lambda: len(mes.events()) == 1)
    (event,) = mes.events()
    assert (event["part_id"], event["actuator"]["late"]) == ("4711", True)
    mes.wait_for(lambda: [told["late"] for told in mes.events("top/counters")][-1:] == [1])
    assert event["actuator"]["after_ms"] >= 200
    assert len(mes.events("top/verdict")) == 1
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=WAIT_S)
    assert set(plc.values("coil", 0)) == {1}


@pytest.mark.parametrize(
    ("cameras", "sections", "said"),
    [
        ({"a": {"coil": 1}}, {}, "needs `modbus`"),
        ({"a": {"coil": 1}, "b": {"coil": 1}}, {"modbus": {"host": "plc"}}, "coil 1 would be switched for two"),
        ({"a": {}}, {"modbus": {"host": "plc"}}, "`modbus` has nothing to switch"),
        (
            {"a": {"coil": 65535, "regions": {"left": [0, 0, 9, 9], "right": [9, 0, 9, 9]}}},
            {"modbus": {"host": "plc"}},
            "coil 65536 would be switched for a region, and 65535 is the last one",
        ),
    ],
)
def test_coils_that_nobody_or_two_would_switch_are_refused(
    tmp_path: Path,
    bundle_path: Path,
    cameras: dict[str, Any],
    sections: dict[str, Any],
    said: str,
    finish_here: Callable[..., tuple[int, str, str]],
) -> None:
    told = {
        name: {**folder(tmp_path), "regions": each.pop("regions", {}), "verdict": {"deadline_ms": 9, **each}}
        for name, each in cameras.items()
    }
    config = write_config(tmp_path, bundle_path, told, **sections)
    code, _out, err = finish_here(config)
    assert (code, said in err) == (ConfigError.exit_code, True), err
