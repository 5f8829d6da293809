"""Films: what is damaged in them comes without pixels, what is whole as it was filmed, and what is missing is told."""

import logging
import os
import tempfile
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from core.errors import CameraError
from runtime.cameras.files import VideoCamera
from runtime.parts.verdict import Reason

RUN = threading.Event()
SIZE = (120, 160)
FORMATS = {"mjpeg": "yuvj420p", "qtrle": "rgb24", "svq1": "yuv410p", "cfhd": "yuv422p10le"}


def scene(number: int) -> np.ndarray:
    """A bright square that wanders over a grainy plate."""
    frame = np.random.default_rng(number).integers(90, 110, (*SIZE, 3)).astype(np.uint8)
    left = number * 3 % (SIZE[1] - 30)
    frame[40:70, left : left + 30] = 220
    return frame


def write_film(path: Path, codec: str = "libx264", frames: int = 40, gop: int = 10) -> Path:
    path.write_bytes(film_bytes(path.suffix, codec, frames, gop))
    return path


@cache
def film_bytes(suffix: str, codec: str, frames: int, gop: int) -> bytes:
    """A film as a file, encoded once: many tests damage the same one in different places."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"film{suffix}"
        with av.open(str(path), "w") as container:
            stream: Any = container.add_stream(codec, rate=25)
            stream.height, stream.width = SIZE
            stream.pix_fmt = FORMATS.get(codec, "yuv420p")
            stream.codec_context.gop_size = gop
            if codec == "libx265":
                stream.codec_context.options = {"x265-params": "log-level=none"}
            for number in range(frames):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(scene(number), format="bgr24")))
            container.mux(stream.encode())
        return path.read_bytes()


def packets_of(path: Path) -> list[tuple[int, int]]:
    """Place and size in the file of each packet, in decoding order."""
    with av.open(str(path)) as container:
        return [(packet.pos or 0, packet.size) for packet in container.demux(video=0) if packet.size]


def overwrite(path: Path, packet: int, share: float, put: Callable[[int], bytes]) -> None:
    """Put something over the last `share` of a packet."""
    content = bytearray(path.read_bytes())
    at, size = packets_of(path)[packet]
    lost = int(size * share)
    content[at + size - lost : at + size] = put(lost)
    path.write_bytes(bytes(content))


def frames_of(path: Path) -> list[Any]:
    camera = VideoCamera(path)
    frames = list(camera.frames(RUN))
    camera.close()
    return [frame.pixels_u8 for frame in frames]


def assert_told(frames: list[Any], whole: list[Any]) -> None:
    """Something is unreadable, and what is not is as it was filmed."""
    assert any(frame is None for frame in frames)
    pairs = zip(frames, whole, strict=True)
    assert all(np.array_equal(frame, as_filmed) for frame, as_filmed in pairs if frame is not None)


def faults_of(path: Path) -> list[Reason | None]:
    camera = VideoCamera(path)
    frames = list(camera.frames(RUN))
    camera.close()
    assert all((frame.pixels_u8 is None) == (frame.fault is not None) for frame in frames)
    return [frame.fault for frame in frames]


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg4", "mjpeg"])
def test_a_whole_film_gives_what_was_filmed(tmp_path: Path, codec: str) -> None:
    camera = VideoCamera(write_film(tmp_path / "film.mp4", codec))
    frames = list(camera.frames(RUN))
    camera.close()
    assert camera.frames_total == len(frames) == 40
    for number, frame in enumerate(frames):
        assert frame.fault is None
        assert frame.pixels_u8 is not None
        assert np.abs(frame.pixels_u8.astype(int) - scene(number)).mean() < 9


@pytest.mark.parametrize(("codec", "is_told"), [("libx264", False), ("mjpeg", False), ("ffv1", True)])
def test_a_codec_of_which_nothing_tells_damage_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, codec: str, is_told: bool
) -> None:
    assert len(frames_of(write_film(tmp_path / "film.mkv", codec, frames=3))) == 3
    assert ("damaged within a frame is judged as if it were whole" in caplog.text) is is_told


def test_a_film_whose_title_is_no_utf_8_is_read(tmp_path: Path) -> None:
    path = tmp_path / "film.mkv"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "Pruefung"
        stream: Any = container.add_stream("libx264", rate=25)
        stream.height, stream.width = SIZE
        container.mux(stream.encode(av.VideoFrame.from_ndarray(scene(0), format="bgr24")))
        container.mux(stream.encode())
    path.write_bytes(path.read_bytes().replace(b"Pruefung", b"Pr\xfcfungen"[:8]))
    assert len(frames_of(path)) == 1


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg4"])
@pytest.mark.parametrize("packet", [10, 13, 14, 17])
@pytest.mark.parametrize("share", [0.6, 0.9])
def test_no_frame_is_passed_that_builds_on_a_damaged_one(tmp_path: Path, codec: str, packet: int, share: float) -> None:
    film = write_film(tmp_path / "film.mp4", codec)
    overwrite(film, packet, share, bytes)
    camera = VideoCamera(film)
    frames = list(camera.frames(RUN))
    camera.close()
    assert len(frames) == 40
    assert [frame.fault for frame in frames].count(Reason.UNREADABLE) < 20
    for number, frame in enumerate(frames):
        if frame.pixels_u8 is not None:
            assert np.abs(frame.pixels_u8.astype(int) - scene(number)).mean() < 9
    assert all(frame.fault is None for frame in frames[-15:])


@pytest.mark.parametrize("packet", range(9, 19))
def test_of_h264_any_lost_part_is_told_and_so_is_what_is_shown_earlier_and_builds_on_it(
    tmp_path: Path, packet: int
) -> None:
    """A frame's data may end so that the decoder takes it for whole, with several threads."""
    whole = frames_of(write_film(tmp_path / "film.mp4"))
    for share in (0.1, 0.3, 0.5, 0.7):
        film = write_film(tmp_path / "film.mp4")
        overwrite(film, packet, share, bytes)
        frames = frames_of(film)
        assert len(frames) == 40
        assert_told(frames, whole)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_a_film_without_times_that_ends_within_a_frame_tells_of_it(tmp_path: Path, share: float) -> None:
    film = write_film(tmp_path / "film.h264")
    whole = frames_of(film)
    at, size = packets_of(film)[25]
    film.write_bytes(film.read_bytes()[: at + int(size * share)])
    frames = frames_of(film)
    assert len(frames) == 26
    assert_told(frames, whole[:26])


def test_without_another_key_frame_nothing_is_passed_behind_damage(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mp4", gop=100)
    overwrite(film, 12, 0.8, bytes)
    faults = faults_of(film)
    assert len(faults) == 40
    first = faults.index(Reason.UNREADABLE)
    assert 5 < first < 16
    assert set(faults[first:]) == {Reason.UNREADABLE}


@pytest.mark.parametrize("put", [bytes, lambda count: b"\xff\xd9" * (count // 2) + bytes(count % 2)])
def test_a_damaged_frame_of_motion_jpeg_is_unreadable_and_the_others_are_not(
    tmp_path: Path, put: Callable[[int], bytes]
) -> None:
    film = write_film(tmp_path / "film.avi", "mjpeg")
    for packet in (3, 17, 39):
        overwrite(film, packet, 0.5, put)
    faults = faults_of(film)
    assert [number for number, fault in enumerate(faults) if fault] == [3, 17, 39]


def test_a_film_that_was_cut_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    film = write_film(tmp_path / "film.avi", "mjpeg")
    at, size = packets_of(film)[25]
    film.write_bytes(film.read_bytes()[: at + size // 2])
    with caplog.at_level(logging.WARNING):
        faults = faults_of(film)
    assert faults[:25] == [None] * 25
    assert set(faults[25:]) <= {Reason.UNREADABLE}
    assert f"film is cut or damaged: {len(faults)} of 40 frames are in it" in caplog.text


@pytest.mark.parametrize("is_damaged", [False, True])
@pytest.mark.parametrize("is_cut", [False, True])
@pytest.mark.parametrize("times", [[*range(20), *range(20, 220, 10)], [*range(1000, 1100)]], ids=["varying", "late"])
def test_a_film_of_varying_rate_or_that_begins_late_is_told_only_where_it_was_cut(
    times: list[int], is_cut: bool, is_damaged: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    film = tmp_path / "film.mkv"  # it counts no frames
    with av.open(str(film), "w") as container:
        stream: Any = container.add_stream("mjpeg", rate=25)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuvj420p"
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(scene(number), format="bgr24")
            frame.pts = time
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    if is_damaged:
        overwrite(film, 0, 0.5, bytes)
    if is_cut:
        film.write_bytes(film.read_bytes()[: film.stat().st_size * 3 // 5])
    with caplog.at_level(logging.WARNING):
        assert bool(faults_of(film)[0]) == is_damaged
    assert ("film is cut or damaged" in caplog.text) == is_cut


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        *((f"film.{ending}", "libx264") for ending in ("mp4", "mkv", "avi", "mov", "ts", "h264")),
        *((f"film.{ending}", "mpeg4") for ending in ("mp4", "avi")),
        *(("film.webm", codec) for codec in ("libvpx", "libvpx-vp9")),
        ("film.mkv", "libx265"),
        ("film.mpg", "mpeg2video"),
        *(("film.mov", codec) for codec in ("qtrle", "svq1", "cfhd")),  # their decoders tell no key frames
    ],
)
def test_of_a_whole_film_nothing_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, codec: str
) -> None:
    with caplog.at_level(logging.WARNING, "runtime.cameras.files"):
        assert faults_of(write_film(tmp_path / name, codec)) == [None] * 40
    assert "cut or damaged" not in caplog.text
    assert "written to" not in caplog.text


def test_a_stream_whose_clock_begins_anew_goes_on(tmp_path: Path) -> None:
    part = write_film(tmp_path / "part.ts").read_bytes()
    (tmp_path / "film.ts").write_bytes(part + part)
    faults = faults_of(tmp_path / "film.ts")
    assert len(faults) >= 78
    assert faults.count(None) >= len(faults) - 10
    assert faults[-30:] == [None] * 30


@pytest.mark.parametrize("name", ["10:15:00 shift:2.mp4", "http:film.mp4", os.fsdecode(b"caf\xe9.mp4"), "100%d.mp4"])
def test_a_film_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / name).write_bytes(write_film(tmp_path / "film.mp4", frames=4).read_bytes())
    monkeypatch.chdir(tmp_path)
    assert faults_of(Path(name)) == [None] * 4
    source = next(VideoCamera(Path(name)).frames(RUN)).source
    assert source is not None
    source.encode()


def test_sound_alone_is_no_film(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "song.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
    with pytest.raises(CameraError, match="no video"):
        VideoCamera(tmp_path / "song.wav")


def test_a_film_of_a_codec_that_nobody_knows_is_no_film(tmp_path: Path) -> None:
    film = write_film(tmp_path / "film.mp4")
    film.write_bytes(film.read_bytes().replace(b"avc1", b"QQQQ"))
    with pytest.raises(CameraError, match="no video"):
        VideoCamera(film)


@pytest.mark.parametrize("turn", ["0001ffff", "ffff0001"])
def test_a_film_comes_upright_as_opencv_turns_it(tmp_path: Path, turn: str) -> None:
    film = write_film(tmp_path / "film.mp4")
    content = film.read_bytes()
    matrix = content.index(b"\0\1\0\0", content.index(b"tkhd") + 40)
    one, minus_one = (1 << 16).to_bytes(4, "big"), (-(1 << 16)).to_bytes(4, "big", signed=True)
    b, c = (one, minus_one) if turn == "0001ffff" else (minus_one, one)
    film.write_bytes(content[:matrix] + bytes(4) + b + bytes(4) + c + content[matrix + 16 :])
    camera = VideoCamera(film)
    frame = next(camera.frames(RUN)).pixels_u8
    camera.close()
    seen, expected = cv2.VideoCapture(str(film)).read()
    assert seen
    assert frame is not None
    assert expected.shape == frame.shape == (SIZE[1], SIZE[0], 3)
    assert np.abs(frame.astype(int) - expected).mean() < 4
