"""Parts before cameras behind a producer: cameras of two makers, that are triggered, killed, taken and lose packets."""

import pytest

from runtime.cameras.camera import CameraState
from runtime.cameras.factory import factory_camera, producer
from runtime.cameras.factory.gentl import connection
from runtime.cameras.settings import GentlSettings
from runtime.parts.verdict import Reason
from tests.runtime.conveyor import BARRIER, LOST, Line
from tests.runtime.gentl import BehindProducer, GigeProducer
from tests.runtime.gige import HOST, sole_use
from tests.runtime.waiting import wait_until

pytest.importorskip("genicam", reason="genicam is not installed")
pytestmark = pytest.mark.machine


@pytest.fixture(autouse=True)
def _own_producer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(producer, "CDLL", GigeProducer)
    monkeypatch.setattr(factory_camera, "ASK_EVERY_S", 0.2)


def test_parts_that_a_triggered_camera_may_not_have_seen_are_told_when_it_is_taken_or_dies(lines: list[Line]) -> None:
    with sole_use(), BehindProducer("viva") as camera:
        line = Line(camera, "hardware", BARRIER, stale_after_s=0.3)
        lines.append(line)
        for lose in (camera.fake.revoke_control, camera.off):
            line.ready()
            line.part_passes()
            wait_until(lambda: line.told[-1:] == [(None, None)])
            lose()
            wait_until(lambda: line.watcher.state == CameraState.RECONNECTING)
        camera.on()
        line.ready()
        line.name()
        line.part_passes()
        wait_until(lambda: line.told[-1] == ("0", None))
        assert [fault for _, fault in line.told] == [None, Reason.NO_FRAME, None, Reason.NO_FRAME, None]
        line.watcher.stop()


def test_each_part_that_is_named_fires_its_frame(lines: list[Line]) -> None:
    with sole_use(), BehindProducer("aravis") as camera:
        line = Line(camera, "software", stale_after_s=0.3)
        lines.append(line)
        line.ready()
        for part in range(3):
            line.name()
            line.wait_for(part + 1)
        assert line.told == [("0", None), ("1", None), ("2", None)]
        line.watcher.stop()


def test_lost_packets_and_lost_frames_are_their_own_parts(lines: list[Line]) -> None:
    with sole_use(), BehindProducer("viva", drop_packets=LOST, packet_resend=False) as camera:
        line = Line(camera, "hardware", {"ExposureTime": 4000.0}, chunks=["ExposureTime", "FrameID"])
        lines.append(line)
        line.tells_what_is_lost()
    assert line.watcher.frames[0].chunks == {"ChunkExposureTime": 4000.0, "ChunkFrameID": 1}
    assert [frame.chunks for frame in line.watcher.frames[:8] if frame.pixels_u8 is None] == [None] * 3


def test_a_camera_that_another_program_has_or_that_dies_is_told() -> None:
    import viva_genicam as vg

    with sole_use(), BehindProducer("viva") as camera:
        reach = connection(GentlSettings.model_validate(camera.section(timeout_s=0.3)))
        (found,) = vg.discover(300, iface=HOST)
        with vg.connect_gige(found, HOST), pytest.raises(OSError, match="another program has it"):
            reach()
        stream = reach()
        assert stream.grab()
        assert stream.is_ours()
        camera.off()
        while stream.grab():  # what came before
            pass
        assert not stream.is_ours()
        assert not stream.fire()
        stream.release()
        with pytest.raises(OSError, match=f"device {HOST} does not answer; found: nothing"):
            reach()
