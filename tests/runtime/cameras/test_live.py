"""Live cameras against real servers: whatever happens to them, nothing old, frozen or missing is taken for new."""

import contextlib
import itertools
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.config import Settings
from runtime.cameras.camera import CameraState
from runtime.cameras.free_running import SETTLE_S
from runtime.cameras.live import LiveCamera
from runtime.cameras.settings import HttpSettings, LiveCameraSettings, RtspSettings, V4l2Settings
from runtime.parts.verdict import Reason
from tests.runtime.flapping import Flapping
from tests.runtime.pictures import good_picture
from tests.runtime.servers import FRAME, MjpegServer, RtspServer
from tests.runtime.waiting import WAIT_S, wait_until
from tests.runtime.watcher import Watcher


def of_rtsp(server: RtspServer, **changed: Any) -> RtspSettings:
    return RtspSettings.model_validate({"kind": "rtsp", "url": server.url, "timeout_s": 2, **changed})


def of_http(server: MjpegServer, **changed: Any) -> HttpSettings:
    return HttpSettings.model_validate({"kind": "http", "url": server.url, "timeout_s": 2, **changed})


def test_an_rtsp_server_that_is_killed_and_restarted_is_found_again(
    rtsp: RtspServer, watch: Callable[..., Watcher]
) -> None:
    watcher = watch(of_rtsp(rtsp, stale_after_s=0.5))
    wait_until(lambda: sum(frame.fault is None for frame in list(watcher.frames)) > 10)
    assert watcher.state == CameraState.STREAMING
    pixels = watcher.frames[-1].pixels_u8
    assert pixels is not None
    assert pixels.shape == (*FRAME, 3)
    rtsp.stop()
    wait_until(lambda: watcher.state == CameraState.RECONNECTING and Reason.NO_FRAME in watcher.faults())
    rtsp.start()
    seen = len(watcher.frames)
    wait_until(lambda: watcher.state == CameraState.STREAMING and len(watcher.frames) > seen + 10)
    assert watcher.faults() == [Reason.NO_FRAME]
    assert watcher.camera.status().reconnects >= 1


def watch_until_it_hangs(rtsp: RtspServer, watch: Callable[..., Watcher], timeout_s: float) -> Watcher:
    """Watch a server, which hangs once its pictures have come."""
    watcher = watch(of_rtsp(rtsp, stale_after_s=0.5, timeout_s=timeout_s))
    wait_until(lambda: sum(frame.fault is None for frame in list(watcher.frames)) > 10)
    rtsp.send(signal.SIGSTOP)
    return watcher


def test_an_rtsp_server_that_stalls_is_told_of_once_and_stops_nobody(
    rtsp: RtspServer, watch: Callable[..., Watcher]
) -> None:
    watcher = watch_until_it_hangs(rtsp, watch, timeout_s=60)
    wait_until(lambda: watcher.state == CameraState.STALLED and Reason.NO_FRAME in watcher.faults())
    time.sleep(1.0)
    assert watcher.faults() == [Reason.NO_FRAME]
    assert watcher.stop() < 2
    assert watcher.state == CameraState.STOPPED


def test_what_a_stalled_server_sends_when_it_goes_on_is_not_judged_as_new(
    rtsp: RtspServer, watch: Callable[..., Watcher]
) -> None:
    watcher = watch_until_it_hangs(rtsp, watch, timeout_s=60)
    wait_until(lambda: watcher.state == CameraState.STALLED)
    rtsp.send(signal.SIGCONT)
    wait_until(lambda: watcher.state == CameraState.STREAMING)
    assert watcher.faults() == [Reason.NO_FRAME]


def test_an_rtsp_server_that_stalls_for_longer_than_the_time_out_is_connected_to_again(
    rtsp: RtspServer, watch: Callable[..., Watcher]
) -> None:
    watcher = watch_until_it_hangs(rtsp, watch, timeout_s=1)
    wait_until(lambda: watcher.state == CameraState.RECONNECTING)
    assert watcher.camera.status().reason == "the stream ended, or gave nothing in time"
    rtsp.send(signal.SIGCONT)
    wait_until(lambda: watcher.state == CameraState.STREAMING)
    assert watcher.faults() == [Reason.NO_FRAME]


@pytest.mark.parametrize(("kind", "settings"), [("rtsp", RtspSettings), ("http", HttpSettings)])
def test_a_server_that_answers_nothing_is_given_up_in_time(
    kind: str, settings: type[Settings], watch: Callable[..., Watcher]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"{kind}://127.0.0.1:{mute.getsockname()[1]}/film"
        watcher = watch(settings.model_validate({"kind": kind, "url": address, "timeout_s": 0.5, "stale_after_s": 0.2}))
        wait_until(lambda: watcher.camera.status().reconnects >= 1)
        assert watcher.camera.status().reason == "cannot be opened (it gave no picture within 0.5 s)"
        assert [frame.fault for frame in watcher.frames] == [Reason.NO_FRAME]


def test_a_dead_camera_does_not_hold_up_the_opening_of_another(
    mjpeg: MjpegServer, watch: Callable[..., Watcher]
) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as dead, contextlib.ExitStack() as held:
        address = ("127.0.0.1", dead.getsockname()[1])
        for _ in range(2):  # the queue of a listener that accepts nobody is full: who comes now gets no answer
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        url = f"rtsp://{address[0]}:{address[1]}/film"
        watch(RtspSettings.model_validate({"kind": "rtsp", "url": url, "timeout_s": 60}))
        alive = watch(of_http(mjpeg))
        wait_until(lambda: len(alive.frames) > 5)


def test_motion_jpeg_that_piled_up_on_its_way_is_not_judged_as_new(
    mjpeg: MjpegServer, watch: Callable[..., Watcher]
) -> None:
    watcher = watch(of_http(mjpeg, stale_after_s=0.5, timeout_s=60))
    wait_until(lambda: len(watcher.frames) > 5)
    mjpeg.held.set()
    wait_until(lambda: watcher.state == CameraState.STALLED)
    mjpeg.picture = np.zeros((*FRAME, 3), np.uint8)
    made = mjpeg.made
    wait_until(lambda: mjpeg.made > made + 5)
    mjpeg.picture = None
    mjpeg.held.clear()
    wait_until(lambda: watcher.state == CameraState.STREAMING)
    seen = len(watcher.frames)
    wait_until(lambda: len(watcher.frames) > seen + 5)
    assert watcher.faults() == [Reason.NO_FRAME]
    assert all(frame.pixels_u8.mean() > 60 for frame in watcher.frames if frame.pixels_u8 is not None)
    assert watcher.camera.status().reconnects >= 1


def test_what_was_read_while_a_camera_was_opened_is_not_judged(
    mjpeg: MjpegServer, watch: Callable[..., Watcher]
) -> None:
    opened_s: list[float] = []

    def look_at_the_clock(camera: LiveCamera) -> None:
        connect = camera._connect

        def opened() -> Any:
            capture = connect()
            opened_s.append(time.monotonic())
            return capture

        camera._connect = opened

    watcher = watch(of_http(mjpeg), look_at_the_clock)
    wait_until(lambda: bool(watcher.frames))
    assert watcher.frames[0].captured.s - opened_s[-1] >= SETTLE_S


def test_a_camera_is_not_silent_before_it_is_read(mjpeg: MjpegServer, watch: Callable[..., Watcher]) -> None:
    """A station opens its cameras first, and then its models, which may take long."""

    def wait_for_models(camera: LiveCamera) -> None:
        camera._intake.heard_s -= 3600

    watcher = watch(of_http(mjpeg, stale_after_s=WAIT_S), wait_for_models)
    wait_until(lambda: bool(watcher.frames))
    assert watcher.frames[0].fault is None


def test_motion_jpeg_is_read_and_found_again(mjpeg: MjpegServer, watch: Callable[..., Watcher]) -> None:
    watcher = watch(of_http(mjpeg, stale_after_s=0.5))
    wait_until(lambda: len(watcher.frames) > 5)
    mjpeg.hang_up.set()
    wait_until(lambda: watcher.state == CameraState.RECONNECTING)
    mjpeg.hang_up.clear()
    seen = len(watcher.frames)
    wait_until(lambda: watcher.state == CameraState.STREAMING and len(watcher.frames) > seen + 5)


def test_a_frozen_camera_is_told_of_once_until_it_moves_again(
    mjpeg: MjpegServer, watch: Callable[..., Watcher]
) -> None:
    watcher = watch(of_http(mjpeg, frozen_after=5))
    wait_until(lambda: len(watcher.frames) > 3)
    mjpeg.picture = good_picture(1, FRAME)
    wait_until(lambda: watcher.state == CameraState.STALLED)
    seen, made = len(watcher.frames), mjpeg.made
    wait_until(lambda: mjpeg.made > made + 10)
    assert len(watcher.frames) <= seen + 1
    assert watcher.faults() == [Reason.FROZEN]
    assert "frozen" in watcher.camera.status().reason
    mjpeg.picture = None
    wait_until(lambda: watcher.state == CameraState.STREAMING)


def test_every_nth_frame_and_no_more_than_the_rate_limit_are_judged(
    mjpeg: MjpegServer, watch: Callable[..., Watcher]
) -> None:
    limited = watch(of_http(mjpeg, max_fps=4))
    thinned = watch(of_http(mjpeg, judge_every=5))
    free = watch(of_http(mjpeg))
    wait_until(lambda: len(limited.frames) >= 6 and len(free.frames) >= 40)
    moments = [frame.captured.s for frame in limited.frames]
    assert min(later - earlier for earlier, later in itertools.pairwise(moments)) >= 0.25 - 0.001
    assert len(thinned.frames) < len(free.frames) / 2


def test_a_camera_that_is_not_there_is_told_of_and_waited_for(tmp_path: Path, watch: Callable[..., Watcher]) -> None:
    device = tmp_path / "video9"
    watcher = watch(V4l2Settings(kind="v4l2", device=device, stale_after_s=0.2))
    wait_until(lambda: watcher.camera.status().reconnects >= 2)
    wait_until(lambda: len(watcher.frames) == 1)
    assert watcher.frames[0].fault == Reason.NO_FRAME
    assert f"there is no {device}" in watcher.camera.status().reason
    device.write_bytes(b"no camera")
    wait_until(lambda: watcher.camera.status().reconnects >= 3)
    assert "it gives no pictures; take another /dev/video" in watcher.camera.status().reason
    assert watcher.stop() < 2


def live(**changed: Any) -> LiveCameraSettings:
    return V4l2Settings.model_validate({"kind": "v4l2", "device": "/dev/null", **changed})


def test_a_camera_that_is_connected_and_gives_nothing_yet_is_not_told_as_unconnected() -> None:
    gives, stopping = threading.Event(), threading.Event()

    class Silent(Flapping):
        def grab(self) -> bool:
            gives.wait(WAIT_S)
            return False

    camera = LiveCamera("top", live(), lambda: Silent(1))
    assert camera.status().reason == "not connected yet"
    thread = threading.Thread(target=lambda: list(camera.frames(stopping)), daemon=True)
    thread.start()
    wait_until(lambda: camera.status().reason == "connected, and waits for its first frame")
    gives.set()
    wait_until(lambda: camera.status().reconnects >= 2)
    assert camera.status().reason == "the stream ended, or gave nothing in time"
    stopping.set()
    thread.join(WAIT_S)
    camera.close()


def test_a_flapping_camera_is_not_hammered() -> None:
    opened: list[float] = []

    def connect() -> Flapping:
        opened.append(time.monotonic())
        return Flapping(2)

    camera = LiveCamera("top", live(), connect)
    stopping = threading.Event()
    thread = threading.Thread(target=lambda: list(camera.frames(stopping)), daemon=True)
    thread.start()
    wait_until(lambda: len(opened) >= 4)
    stopping.set()
    thread.join(WAIT_S)
    camera.close()
    pauses = [later - earlier for earlier, later in itertools.pairwise(opened)]
    assert pauses[0] >= 0.25
    assert pauses[2] >= 1.0


def test_a_read_that_never_returns_stops_nobody() -> None:
    forever = threading.Event()
    camera = LiveCamera("top", live(stale_after_s=0.1), lambda: Flapping(3, forever))
    stopping = threading.Event()
    faults: list[Reason | None] = []
    thread = threading.Thread(target=lambda: faults.extend(f.fault for f in camera.frames(stopping)), daemon=True)
    thread.start()
    wait_until(lambda: Reason.NO_FRAME in faults)
    started_s = time.monotonic()
    stopping.set()
    thread.join(WAIT_S)
    camera.close()
    assert time.monotonic() - started_s < 2
    forever.set()


def test_the_newest_frame_wins_and_drops_are_counted() -> None:
    camera = LiveCamera("top", live(), lambda: Flapping(100_000))
    stopping = threading.Event()
    frames = camera.frames(stopping)
    first = next(frames)
    wait_until(lambda: camera.status().dropped >= 10)
    second = camera.newer(first)
    assert second.captured.s > first.captured.s
    assert time.monotonic() - second.captured.s < 1
    stopping.set()
    assert list(frames) == []
    camera.close()
