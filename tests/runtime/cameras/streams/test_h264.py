"""Frames that were left out or whose end was lost: what builds on them is unreadable, and nothing else."""

import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from runtime.cameras.files import VideoCamera
from runtime.cameras.settings import RtspSettings
from runtime.cameras.streams.h264 import H264Frames
from runtime.cameras.streams.units import Units
from runtime.parts.verdict import Reason
from tests.runtime.scripted_rtsp import TICKS, Line, film, scripted_rtsp
from tests.runtime.waiting import wait_until
from tests.runtime.watcher import Watcher

KEY_EVERY = 10
SHAPES = {
    "as usual": "bframes=3",
    "each builds on the one before": "bframes=0",
    "some are built on twice": "bframes=3:b-pyramid=normal:ref=4",
    "scaling lists": "cqm=jvt",
    "several slices": "slices=4",
    "half pictures": "tff=1",
}


@cache
def encoded(shape: str, suffix: str, folder: Path) -> bytes:
    """A plate that wanders, as a file."""
    plate = np.random.default_rng(0).integers(90, 160, (60, 160, 3)).astype(np.uint8)
    film = folder / f"whole{suffix}"
    with av.open(str(film), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 60, 80, "yuv420p"
        stream.codec_context.options = {"x264-params": f"keyint={KEY_EVERY}:min-keyint={KEY_EVERY}:{SHAPES[shape]}"}
        for number in range(30):
            moved = np.ascontiguousarray(plate[:, 2 * number : 2 * number + 80])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(moved, format="bgr24")))
        container.mux(stream.encode())
    return film.read_bytes()


def without(whole: Path, left_out: int, to: Path) -> None:
    """Write a film without one packet."""
    with av.open(str(whole)) as source, av.open(str(to), "w") as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.size and number != left_out:
                packet.stream = stream
                container.mux(packet)


def frames_of(path: Path) -> list[Any]:
    camera = VideoCamera(path)
    frames = [frame.pixels_u8 for frame in camera.frames(threading.Event())]
    camera.close()
    return frames


@pytest.mark.parametrize("suffix", [".mp4", ".ts"])
@pytest.mark.parametrize("shape", SHAPES)
def test_no_frame_of_a_film_is_passed_that_builds_on_one_that_was_left_out(
    tmp_path: Path, shape: str, suffix: str
) -> None:
    film, cut = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    film.write_bytes(encoded(shape, suffix, tmp_path))
    whole = frames_of(film)
    assert len(whole) == 30
    assert all(frame is not None for frame in whole)
    as_filmed = {frame.tobytes() for frame in whole}
    for left_out in (KEY_EVERY + 1, KEY_EVERY + 2, KEY_EVERY + 5):
        without(film, left_out, cut)
        frames = frames_of(cut)
        assert len(frames) == 29
        assert all(frame.tobytes() in as_filmed for frame in frames if frame is not None)
        assert all(frame is not None for frame in frames[-9:])
        if left_out == KEY_EVERY + 1:  # others build on it
            assert 1 <= sum(frame is None for frame in frames) < KEY_EVERY + 4


def test_a_frame_whose_last_bytes_were_lost_is_not_passed_though_the_decoder_takes_it(tmp_path: Path) -> None:
    film = tmp_path / "whole.mp4"
    content = encoded("as usual", ".mp4", tmp_path)
    film.write_bytes(content)
    whole = frames_of(film)
    with av.open(str(film)) as container:
        places = [((packet.pos or 0) + packet.size, packet.pts) for packet in container.demux(video=0) if packet.size]
    shown = [pts for _end, pts in sorted(places, key=lambda place: place[1] or 0)]
    for end, pts in places[KEY_EVERY : 2 * KEY_EVERY]:
        film.write_bytes(content[: end - 2] + bytes(2) + content[end:])
        frames = frames_of(film)
        assert frames[shown.index(pts)] is None
        pairs = zip(frames, whole, strict=True)
        assert all(np.array_equal(frame, as_filmed) for frame, as_filmed in pairs if frame is not None)


def test_what_a_live_camera_leaves_out_is_told_until_the_next_key_frame(
    watch: Callable[..., Watcher], caplog: pytest.LogCaptureFixture
) -> None:
    units = film(60)  # every fifth is a key frame

    def script(line: Line) -> None:
        for number in range(10**6):
            if number % 5 == 1:
                line.wait(0.02)
            else:
                line.frame(units[number % len(units)], number * TICKS)

    with scripted_rtsp(script) as url:
        watcher = watch(RtspSettings(kind="rtsp", url=url, stale_after_s=2))
        wait_until(lambda: watcher.seen() > 5)
        wait_until(lambda: watcher.faults().count(Reason.UNREADABLE) > 5)
        watcher.stop()
    assert caplog.messages.count("camera leaves out frames camera=top") == 1


@pytest.mark.parametrize("headers", [b"", b"\1\x64\0\x1f\xff\xe1\0", b"\0\0\1\x67", b"\0\0\1\x67" + bytes(400)])
def test_headers_that_are_damaged_or_absent_miss_nothing_and_break_nothing(headers: bytes) -> None:
    frames, units = H264Frames(headers), Units("h264", headers)
    for packet in (b"", b"\0\0\1", b"\0\0\1\x41", b"\0\0\1\x41\xe0\x80", b"\0\0\0\2\x41\xe0", bytes(100)):
        assert not frames.misses_one(units.of(packet))
