"""Live streams that arrive damaged: told frame by frame, and the camera goes on."""

import threading
from collections.abc import Callable, Iterator

import pytest

from runtime.cameras.opening import open_camera
from runtime.cameras.settings import HttpSettings
from runtime.parts.frame import Frame
from runtime.parts.verdict import Reason
from tests.runtime.servers import MjpegServer
from tests.runtime.waiting import wait_until


@pytest.fixture
def watch() -> Iterator[Callable[[HttpSettings], list[Frame]]]:
    stopping = threading.Event()
    threads = []

    def start(settings: HttpSettings) -> list[Frame]:
        camera = open_camera("top", settings)
        frames: list[Frame] = []

        def run() -> None:
            for frame in camera.frames(stopping):
                frames.append(frame.developed())
            camera.close()

        threads.append(threading.Thread(target=run, daemon=True))
        threads[-1].start()
        return frames

    yield start
    stopping.set()
    for thread in threads:
        thread.join()


def faults(frames: list[Frame]) -> set[Reason | None]:
    return {frame.fault for frame in frames}


def test_damaged_motion_jpeg_is_unreadable_for_as_long_as_it_lasts(
    mjpeg: MjpegServer, watch: Callable[[HttpSettings], list[Frame]]
) -> None:
    frames = watch(HttpSettings(kind="http", url=mjpeg.url))
    wait_until(lambda: len(frames) > 5)
    assert faults(frames) == {None}
    mjpeg.damaged.set()
    wait_until(lambda: frames[-1].fault == Reason.UNREADABLE)
    seen = len(frames)
    wait_until(lambda: len(frames) > seen + 5)
    assert faults(frames[seen:]) == {Reason.UNREADABLE}
    mjpeg.damaged.clear()
    wait_until(lambda: frames[-1].fault is None)
    seen = len(frames)
    wait_until(lambda: len(frames) > seen + 5)
    assert faults(frames[seen:]) == {None}
