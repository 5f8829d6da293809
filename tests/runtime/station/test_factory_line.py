"""Parts filmed by factory cameras of two makers, in the whole runtime: each part exactly one event, none OK unseen."""

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.broker import Mosquitto
from tests.runtime.command import run_command, write_config
from tests.runtime.contract import check
from tests.runtime.conveyor import BARRIER
from tests.runtime.gige import FactoryCamera
from tests.runtime.mes import Subscriber
from tests.runtime.waiting import WAIT_S

TOPIC = "pwae/site/area/line/test-1/trigger/top"


class Station:
    """A `run-inspection` on one factory camera."""

    def __init__(self, folder: Path, bundle: Path, broker: Mosquitto, mes: Subscriber, camera: dict[str, Any]) -> None:
        self.mes = mes
        at = {"host": "127.0.0.1", "port": broker.port}
        config = write_config(folder, bundle, {"top": camera}, broker=at)
        self._process: subprocess.Popen[str] = run_command(config)
        mes.wait_for(lambda: "streaming" in self.states)

    @property
    def states(self) -> list[str]:
        return [status["state"] for status in self.mes.events("camera/top/status")]

    def wait_for(self, parts: int) -> list[dict[str, Any]]:
        """The events, once there are so many."""
        self.mes.wait_for(lambda: len(self.mes.events()) >= parts)
        return self.mes.events()

    def name(self, part_id: str) -> None:
        self.mes.send(TOPIC, json.dumps({"part_id": part_id, "id": f"id of {part_id}"}).encode())

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        _out, err = self._process.communicate(timeout=WAIT_S)
        assert self._process.returncode == 0, err
        assert "Traceback" not in err
        events = self.mes.events()
        assert sorted(event["seq"] for event in events) == list(range(1, len(events) + 1))


@pytest.fixture(autouse=True)
def _contract(mes: Subscriber) -> Iterator[None]:
    yield
    for message in mes.messages:
        if "/trigger/" not in message.topic:
            check(message)


def test_a_free_running_factory_camera_is_judged(
    factory_camera: FactoryCamera, tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber
) -> None:
    station = Station(tmp_path, bundle_path, mosquitto, mes, factory_camera.section())
    mes.wait_for(lambda: sum(event["score"] is not None for event in mes.events()) >= 10)
    station.stop()
    seen = [event for event in mes.events() if event["verdict"]["reason"] != ["no_frame"]]  # a slow start is silence
    assert {event["frame"]["width"] for event in seen} == {96}
    assert {event["chunks"] for event in seen} == {None}


def test_a_message_fires_the_software_trigger_and_names_the_part(
    factory_camera: FactoryCamera, tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber
) -> None:
    section = factory_camera.section(trigger={"mode": "software", "tolerance_ms": 10_000})
    station = Station(tmp_path, bundle_path, mosquitto, mes, section)
    names = [f"part-{number}" for number in range(5)]
    for number, name in enumerate(names, start=1):
        station.name(name)
        station.wait_for(number)
    station.stop()
    events = mes.events()
    assert [event["part_id"] for event in events] == names
    assert [event["trigger"]["id"] for event in events] == [f"id of {name}" for name in names]
    assert all(event["score"] is not None for event in events)


def test_every_frame_of_a_hardware_trigger_is_a_part_with_what_the_camera_says_of_it(
    factory_camera: FactoryCamera, tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber
) -> None:
    """The software cameras have no line: their clock stands for the light barrier, a part each 0.2 s."""
    chunks = ["ExposureTime", "FrameID"] if factory_camera.kind == "viva" else []
    section = factory_camera.section(
        trigger={"mode": "hardware"}, chunks=chunks, features={"AcquisitionFrameRate": 5.0}, frozen_after=None
    )
    station = Station(tmp_path, bundle_path, mosquitto, mes, section)
    begun = len(station.wait_for(3))
    for name in ("a", "b", "c"):
        station.name(name)
    mes.wait_for(lambda: "c" in [event["part_id"] for event in mes.events()])
    station.wait_for(begun + 8)
    station.stop()
    events = mes.events()
    assert [event["part_id"] for event in events if event["part_id"]] == ["a", "b", "c"]
    assert not [event for event in events if {"stale", "no_frame", "overrun"} & set(event["verdict"]["reason"])]
    if factory_camera.kind == "viva":
        ids = [event["chunks"]["ChunkFrameID"] for event in events]
        assert ids == list(range(1, len(ids) + 1))
        assert {event["chunks"]["ChunkExposureTime"] for event in events} == {5000.0}


def test_the_parts_of_a_camera_that_is_switched_off_are_told_of_and_none_is_ok(
    factory_camera: FactoryCamera, tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber
) -> None:
    section = factory_camera.section(trigger={"mode": "hardware"}, features={"AcquisitionFrameRate": 5.0})
    station = Station(tmp_path, bundle_path, mosquitto, mes, section)
    station.wait_for(3)
    factory_camera.off()
    mes.wait_for(lambda: station.states[-1] == "reconnecting")
    away = len(mes.events())
    station.name("unseen")
    mes.wait_for(lambda: "unseen" in [event["part_id"] for event in mes.events()])
    factory_camera.on()
    mes.wait_for(lambda: station.states[-1] == "streaming")
    station.wait_for(away + 5)
    station.stop()
    unseen = [event for event in mes.events() if event["verdict"]["reason"] == ["no_frame"]]
    assert [event["part_id"] for event in unseen] == [None, "unseen"]
    assert {event["verdict"]["name"] for event in unseen} == {"NotDecidable"}


def test_ids_given_ahead_that_have_no_frame_when_the_station_is_stopped_are_told_of(
    factory_camera: FactoryCamera, tmp_path: Path, bundle_path: Path, mosquitto: Mosquitto, mes: Subscriber
) -> None:
    section = factory_camera.section(trigger={"mode": "hardware"}, features=BARRIER)
    station = Station(tmp_path, bundle_path, mosquitto, mes, section)
    station.name("a")
    station.name("b")
    mes.send(TOPIC, b"what is refused was heard after them")
    mes.wait_for(lambda: len(mes.events("top/trigger_refused")) == 1)
    station.stop()
    told = [(event["part_id"], event["verdict"]["reason"]) for event in mes.events()]
    assert told == [("a", ["no_frame"]), ("b", ["no_frame"])]
