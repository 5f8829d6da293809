"""Parts before cameras behind a producer: cameras of two makers, that are triggered, killed, taken and lose packets."""

import itertools
from collections.abc import Callable

import pytest

from runtime.cameras import producer
from runtime.cameras.camera import CameraState
from runtime.parts.verdict import Reason
from tests.runtime.conveyor import BARRIER, Line
from tests.runtime.gentl import BehindProducer, GigeProducer
from tests.runtime.gige import HOST, sole_use
from tests.runtime.waiting import wait_until
from tests.runtime.watcher import Watcher

pytest.importorskip("genicam", reason="genicam is not installed")
pytestmark = pytest.mark.machine


@pytest.fixture(autouse=True)
def _own_producer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producer, "CDLL", GigeProducer)


@pytest.mark.parametrize(("kind", "mode"), [("aravis", "hardware"), ("viva", "software")])
def test_each_part_has_its_frame_and_none_is_left_out_when_the_camera_dies_and_comes_back(
    lines: list[Line], kind: str, mode: str
) -> None:
    with sole_use(), BehindProducer(kind) as camera:
        line = Line(camera, mode, BARRIER, stale_after_s=0.3)
        lines.append(line)

        def part(number: int) -> None:
            line.name()
            if mode == "hardware":
                line.part_passes()
            wait_until(lambda: (str(number), None) in line.told)

        line.ready()
        part(0)
        part(1)
        camera.off()
        line.name()
        wait_until(lambda: ("2", Reason.NO_FRAME) in line.told)
        wait_until(lambda: f"device {HOST} does not answer; found: nothing" in line.watcher.reason)
        assert line.watcher.state == CameraState.RECONNECTING
        camera.on()
        line.ready()
        part(3)
        line.watcher.stop()
    parts = [(part_id, fault) for part_id, fault in line.told if part_id is not None]
    assert parts == [("0", None), ("1", None), ("2", Reason.NO_FRAME), ("3", None)]


def test_a_camera_that_is_taken_away_tells_of_the_parts_it_may_not_have_seen(lines: list[Line]) -> None:
    with sole_use(), BehindProducer("viva") as camera:
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
    """Of the third frame a packet is lost, of the fifth and sixth all."""
    lost = [(3, 1), *itertools.product((5, 6), range(3))]
    with sole_use(), BehindProducer("viva", drop_packets=lost, packet_resend=False) as camera:
        line = Line(camera, "hardware", {"ExposureTime": 4000.0}, chunks=["ExposureTime", "FrameID"])
        lines.append(line)
        for _ in range(8):
            line.name()
        line.wait_for(8)
        line.watcher.stop()
    faults = {"2": Reason.UNREADABLE, "4": Reason.NO_FRAME, "5": Reason.NO_FRAME}
    assert line.told[:8] == [(str(number), faults.get(str(number))) for number in range(8)]
    assert line.watcher.frames[0].chunks == {"ChunkExposureTime": 4000.0, "ChunkFrameID": 1}
    assert [frame.chunks for frame in line.watcher.frames[:8] if frame.pixels_u8 is None] == [None] * 3


def test_a_free_running_camera_that_dies_is_told_within_its_time_and_found_again(watch: Callable[..., Watcher]) -> None:
    with sole_use(), BehindProducer("viva") as camera:
        watcher = watch(camera.settings(stale_after_s=1, timeout_s=0.5))
        wait_until(lambda: watcher.seen() >= 3)
        camera.off()
        wait_until(lambda: watcher.state == CameraState.RECONNECTING and Reason.NO_FRAME in watcher.faults())
        seen = watcher.seen()
        camera.on()
        wait_until(lambda: watcher.state == CameraState.STREAMING and watcher.seen() >= seen + 3)
        watcher.stop()
    assert set(watcher.faults()) == {Reason.NO_FRAME}


def test_a_camera_that_another_program_has_is_told(watch: Callable[..., Watcher]) -> None:
    import viva_genicam as vg

    with sole_use(), BehindProducer("viva") as camera:
        (found,) = vg.discover(300, iface=HOST)
        with vg.connect_gige(found, HOST):
            watcher = watch(camera.settings())
            wait_until(lambda: watcher.camera.status().reconnects >= 1)
            assert "another program has it" in watcher.reason
            assert watcher.seen() == 0
        wait_until(lambda: watcher.seen() >= 3)
        watcher.stop()
