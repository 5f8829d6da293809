"""Cameras that send nonsense over RTSP: nothing is judged of it, why not is told, and they are connected to again."""

from collections.abc import Callable
from typing import Any

import pytest

from runtime.cameras.camera import CameraState
from runtime.cameras.settings import RtspSettings
from runtime.cameras.streams import video_stream
from runtime.parts.verdict import Reason
from tests.runtime.scripted_rtsp import SOUND, TICKS, Line, film, scripted_rtsp
from tests.runtime.waiting import wait_until
from tests.runtime.watcher import Watcher

BRIGHT, DARK = film(60), film(60, level=30)
OF_ANOTHER_CODEC = [b"\x02\x01" + bytes(range(1, 200))]
"""A frame of H.265; of H.264 it would be a part that nobody uses."""


def camera_at(url: str, **changed: Any) -> RtspSettings:
    return RtspSettings.model_validate({"kind": "rtsp", "url": url, "timeout_s": 1, "stale_after_s": 0.5, **changed})


def play(line: Line, frames: int, begin: int = 0) -> int:
    for number in range(begin, begin + frames):
        line.frame(BRIGHT[number % len(BRIGHT)], number * TICKS)
    return begin + frames


def play_on(line: Line) -> None:
    play(line, 10**6)


@pytest.mark.long
def test_a_stream_that_goes_on_with_what_shows_nothing_is_connected_to_again(watch: Callable[..., Watcher]) -> None:
    def script(line: Line) -> None:
        at = play(line, 60 if line.number == 0 else 10**6)
        while True:
            line.frame(OF_ANOTHER_CODEC, at * TICKS)
            at += 1

    with scripted_rtsp(script) as url:
        watcher = watch(camera_at(url))
        wait_until(lambda: watcher.seen() > 5)
        wait_until(lambda: watcher.camera.status().reconnects == 1)
        wait_until(lambda: watcher.state == CameraState.STREAMING)
        assert set(watcher.faults()) <= {Reason.NO_FRAME, Reason.UNREADABLE}
        watcher.stop()


def test_a_stream_that_never_shows_a_picture_is_told_and_connected_to_again(
    watch: Callable[..., Watcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video_stream, "FIRST_PICTURE_S", 1.5)

    def script(line: Line) -> None:
        for number in range(10**6):
            line.frame(OF_ANOTHER_CODEC if line.number == 0 else BRIGHT[number % len(BRIGHT)], number * TICKS)

    with scripted_rtsp(script) as url:
        watcher = watch(camera_at(url))
        wait_until(lambda: watcher.camera.status().reconnects == 1)
        assert "shows no picture" in watcher.reason
        wait_until(lambda: watcher.state == CameraState.STREAMING)
        watcher.stop()


def test_a_camera_that_sends_sound_and_no_more_pictures_is_connected_to_again(watch: Callable[..., Watcher]) -> None:
    def script(line: Line) -> None:
        at = play(line, 60 if line.number == 0 else 10**6)
        while True:
            line.sound(at * TICKS)
            at += 1

    with scripted_rtsp(script, beside=SOUND) as url:
        watcher = watch(camera_at(url))
        wait_until(lambda: watcher.camera.status().reconnects == 1)
        assert watcher.reason == "the stream ended, or gave nothing in time"
        seen = watcher.seen()
        wait_until(lambda: watcher.state == CameraState.STREAMING and watcher.seen() > seen)
        watcher.stop()


@pytest.mark.long
def test_what_comes_after_silence_is_not_judged_where_the_streams_clock_jumped_back(
    watch: Callable[..., Watcher],
) -> None:
    def script(line: Line) -> None:
        at = play(line, 60, begin=1000)
        if line.number == 0:
            line.wait(0.8)
            for number, units in enumerate(DARK):
                line.frame(units, (at - 500 + number) * TICKS)
        play(line, 10**6, at)

    with scripted_rtsp(script) as url:
        watcher = watch(camera_at(url, timeout_s=30))
        wait_until(lambda: watcher.camera.status().reconnects == 1)
        assert Reason.NO_FRAME in watcher.faults()
        wait_until(lambda: watcher.state == CameraState.STREAMING)
        assert all(frame.pixels_u8.mean() > 100 for frame in watcher.frames if frame.pixels_u8 is not None)
        watcher.stop()


def test_a_login_that_is_refused_is_told(watch: Callable[..., Watcher]) -> None:
    with scripted_rtsp(play_on, refuse="401 Unauthorized\r\nWWW-Authenticate: Basic realm=x") as url:
        watcher = watch(camera_at(url))
        wait_until(lambda: watcher.camera.status().reconnects > 0)
        assert "401 Unauthorized" in watcher.reason
        watcher.stop()
