"""Triggered factory cameras of two makers: each part one frame or one reason, and never another part's frame."""

import time
from typing import Any

import pytest

from core.config import parse_settings
from core.errors import ConfigError
from runtime.cameras.camera import CameraState
from runtime.cameras.settings import GenicamSettings
from runtime.cameras.triggering import MAX_WAITING
from runtime.parts.verdict import Reason
from tests.runtime.conveyor import BARRIER, LOST, Line
from tests.runtime.gige import HOST, FactoryCamera, sole_use
from tests.runtime.waiting import wait_until

pytestmark = pytest.mark.machine


def test_every_frame_of_a_hardware_trigger_is_a_part_and_takes_the_next_id_ahead(
    factory_camera: FactoryCamera, lines: list[Line]
) -> None:
    line = Line(factory_camera, "hardware", BARRIER, stale_after_s=0.3)
    lines.append(line)
    line.ready()
    line.name()
    line.name()
    for number in range(4):
        line.part_passes()
        line.wait_for(number + 1)
    assert line.told == [("0", None), ("1", None), (None, None), (None, None)]
    time.sleep(1)  # silence is normal
    assert len(line.told) == 4
    assert line.watcher.state == CameraState.STREAMING


def test_a_software_trigger_is_fired_by_the_part_that_it_names(
    factory_camera: FactoryCamera, lines: list[Line]
) -> None:
    line = Line(factory_camera, "software", stale_after_s=0.3)
    lines.append(line)
    line.ready()
    for number in range(5):
        asked_s = time.monotonic()
        line.name()
        line.wait_for(number + 1)
        assert line.watcher.frames[-1].captured.s > asked_s
    assert line.told == [(str(number), None) for number in range(5)]
    if factory_camera.kind == "viva":
        assert factory_camera.fake.software_triggers() == 5


def test_a_part_that_has_passed_is_not_photographed(factory_camera: FactoryCamera, lines: list[Line]) -> None:
    line = Line(factory_camera, "software")
    lines.append(line)
    line.ready()
    line.name(late_s=5.1)
    line.name()
    line.wait_for(2)
    assert sorted(line.told) == [("0", Reason.NO_FRAME), ("1", None)]


@pytest.mark.parametrize("mode", ["hardware", "software"])
def test_a_camera_that_is_switched_off_leaves_no_part_untold(
    factory_camera: FactoryCamera, lines: list[Line], mode: str
) -> None:
    line = Line(factory_camera, mode, BARRIER)
    lines.append(line)
    line.ready()
    factory_camera.off()
    line.name()
    line.wait_for(1)
    wait_until(lambda: line.watcher.state == CameraState.RECONNECTING)
    line.name()
    wait_until(lambda: ("1", Reason.NO_FRAME) in line.told)
    factory_camera.on()
    line.ready()
    told = len(line.told)
    line.name()
    if mode == "hardware":
        line.part_passes()
    line.wait_for(told + 1)
    assert line.told[-1] == ("2", None)
    assert [part for part in line.told if part[0] is not None] == [
        *(("0", Reason.NO_FRAME), ("1", Reason.NO_FRAME), ("2", None))
    ]


def test_a_hardware_triggered_camera_that_is_taken_away_tells_of_the_parts_it_may_not_have_seen(
    lines: list[Line],
) -> None:
    with sole_use(), FactoryCamera("viva") as camera:
        line = Line(camera, "hardware", BARRIER)
        lines.append(line)
        line.ready()
        camera.fake.revoke_control()
        wait_until(lambda: line.told == [(None, Reason.NO_FRAME)])
        line.ready()
        line.part_passes()
        line.wait_for(2)
        assert line.told[1:] == [(None, None)]
        line.watcher.stop()


def test_lost_packets_and_lost_frames_are_their_own_parts(lines: list[Line]) -> None:
    with sole_use(), FactoryCamera("viva", drop_packets=LOST, packet_resend=False) as camera:
        line = Line(camera, "hardware")
        lines.append(line)
        line.tells_what_is_lost()


def test_a_software_trigger_whose_frame_is_lost_is_not_given_the_next_frame(lines: list[Line]) -> None:
    with (
        sole_use(),
        FactoryCamera("viva", drop_packets=[(2, number) for number in range(3)], packet_resend=False) as camera,
    ):
        line = Line(camera, "software", tolerance_ms=1000)
        lines.append(line)
        for number in range(3):
            line.ready()
            line.name()
            line.wait_for(number + 1)
            if number == 1:
                wait_until(lambda: line.watcher.camera.status().reconnects >= 1)
        assert line.told == [("0", None), ("1", Reason.NO_FRAME), ("2", None)]
        line.watcher.stop()


def test_parts_that_come_faster_than_they_are_taken_are_counted_and_none_is_left_out(
    factory_camera: FactoryCamera, lines: list[Line]
) -> None:
    line = Line(factory_camera, "hardware")
    lines.append(line)
    line.ready()
    line.watcher.hold.set()
    wait_until(lambda: line.watcher.camera.status().dropped >= 3)
    line.watcher.hold.clear()
    wait_until(lambda: any(fault == Reason.OVERRUN for _id, fault in line.told))
    dropped = line.watcher.camera.status().dropped
    wait_until(lambda: line.told.count((None, Reason.OVERRUN)) == dropped)
    assert len(line.told) > MAX_WAITING
    assert {fault for _id, fault in line.told} == {None, Reason.OVERRUN}


def test_what_the_camera_says_of_each_frame_comes_with_it(lines: list[Line]) -> None:
    with sole_use(), FactoryCamera("viva") as camera:
        line = Line(camera, "hardware", {"ExposureTime": 4000.0}, chunks=["ExposureTime", "FrameID"])
        lines.append(line)
        line.wait_for(3)
        line.watcher.stop()
    told = [frame.chunks for frame in line.watcher.frames[:3]]
    assert told == [{"ChunkExposureTime": 4000.0, "ChunkFrameID": number} for number in (1, 2, 3)]
    assert isinstance(told[0] and told[0]["ChunkExposureTime"], float)


def test_chunk_data_that_the_camera_has_not_is_refused(factory_camera: FactoryCamera, lines: list[Line]) -> None:
    line = Line(factory_camera, "hardware", chunks=["Encoder"])
    lines.append(line)
    wait_until(lambda: line.watcher.camera.status().reconnects >= 1)
    has = "Timestamp, ExposureTime" if factory_camera.kind == "viva" else "none"
    assert f"it has no chunk data `Encoder`; it has {has}" in line.watcher.reason


def test_a_camera_that_waits_for_triggers_is_refused_without_a_trigger() -> None:
    camera = {"kind": "genicam", "serial": "1", "features": {"TriggerMode": True}}
    with pytest.raises(ConfigError, match=r"add `trigger: {mode: hardware}`"):
        parse_settings(camera, GenicamSettings, "inspection.yaml")
    parse_settings({**camera, "trigger": {"mode": "hardware"}}, GenicamSettings, "inspection.yaml")
    other = {"TriggerSelector": "AcquisitionStart", "TriggerMode": True}
    parse_settings({**camera, "features": other}, GenicamSettings, "inspection.yaml")


@pytest.mark.parametrize("changed", [{"judge_every": 2}, {"max_fps": 5}])
def test_what_would_leave_parts_out_is_refused(changed: dict[str, Any]) -> None:
    section = {"kind": "genicam", "address": HOST, "trigger": {"mode": "hardware"}, **changed}
    with pytest.raises(ConfigError, match="would leave parts out"):
        parse_settings(section, GenicamSettings, "inspection.yaml")


def test_more_software_triggers_at_once_than_the_camera_films_do_not_end_its_connection(
    factory_camera: FactoryCamera, lines: list[Line]
) -> None:
    line = Line(factory_camera, "software", tolerance_ms=100)
    lines.append(line)
    line.ready()
    for _ in range(200):
        line.name()
    line.wait_for(200)
    line.name()
    line.wait_for(201)
    assert sorted(int(part_id or -1) for part_id, _ in line.told[:200]) == list(range(200))
    assert {fault for _, fault in line.told} <= {None, Reason.NO_FRAME}
    assert line.watcher.camera.status().reconnects == 0
