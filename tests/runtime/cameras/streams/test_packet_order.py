"""Films whose packets have no times, or whose clock begins anew: each frame is told of, and none passes that
is damaged."""

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.cameras.streams.video_stream import VideoStream
from tests.runtime.cameras.streams.test_video_stream import frames_of, overwrite, packets_of, write_film
from tests.runtime.waiting import WAIT_S

FRAMES = 40


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("film.avi", "mpeg4"),
        ("film.avi", "libx264"),
        ("film.h264", "libx264"),
        ("film.hevc", "libx265"),
        ("film.mkv", "libx264"),
        ("film.mkv", "libx265"),
    ],
)
def test_of_a_frame_whose_data_are_zeros_no_part_is_left_out_and_none_that_builds_on_it_passes(
    tmp_path: Path, name: str, codec: str
) -> None:
    filmed = {frame.tobytes() for frame in frames_of(write_film(tmp_path / name, codec, FRAMES))}
    for packet in range(1, FRAMES, 3):
        film = write_film(tmp_path / name, codec, FRAMES)
        overwrite(film, packet, 0.8, lambda count: bytes(count - 1) + b"\x5a")
        frames = frames_of(film)
        assert len(frames) == len(packets_of(film))
        assert all(frame.tobytes() in filmed for frame in frames if frame is not None)


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg2video"])
def test_of_a_film_whose_clock_begins_anew_each_frame_is_told_of(tmp_path: Path, codec: str) -> None:
    part = write_film(tmp_path / "part.ts", codec, FRAMES).read_bytes()
    (tmp_path / "film.ts").write_bytes(part + part)
    frames = frames_of(tmp_path / "film.ts")
    assert len(frames) == 2 * FRAMES


@pytest.mark.parametrize(("name", "codec"), [("film.ts", "mpeg4"), ("film.h264", "libx264"), ("film.avi", "mpeg4")])
def test_of_a_film_that_begins_between_key_frames_each_frame_is_told_of(tmp_path: Path, name: str, codec: str) -> None:
    with (
        av.open(str(write_film(tmp_path / f"whole{Path(name).suffix}", codec, FRAMES))) as whole,
        av.open(str(tmp_path / name), "w") as film,
    ):
        stream = film.add_stream_from_template(whole.streams.video[0])
        for number, packet in enumerate(packet for packet in whole.demux(video=0) if packet.size):
            packet.stream = stream
            packet.dts = packet.dts if packet.dts is not None else number
            if number >= 4:
                film.mux(packet)
    frames = frames_of(tmp_path / name)
    assert len(frames) == FRAMES - 4
    assert frames[0] is None
    assert frames[-1] is not None


def in_coding_order(folder: Path, codec: str) -> Path:
    """A film with frames that are shown later than coded, and in place of when they are shown when they were coded."""
    with (
        av.open(str(write_film(folder / "right.mkv", codec, FRAMES))) as right,
        av.open(str(folder / "film.mkv"), "w") as film,
    ):
        stream = film.add_stream_from_template(right.streams.video[0])
        for number, packet in enumerate(packet for packet in right.demux(video=0) if packet.size):
            packet.stream = stream
            packet.pts = packet.dts = 40 * number
            film.mux(packet)
    return folder / "film.mkv"


def live_frames_of(path: Path) -> list[NDArray[np.uint8] | None]:
    stream, frames = VideoStream(str(path), timeout_s=WAIT_S), []
    while stream.grab():
        frames.append(stream.retrieve()[1])
        assert stream.time_s == 0
    stream.release()
    return frames


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_of_times_that_say_when_frames_were_coded_no_frame_is_lost_and_none_that_is_damaged_passes(
    tmp_path: Path, codec: str
) -> None:
    film = in_coding_order(tmp_path, codec)
    whole = frames_of(film)
    assert len(whole) == FRAMES
    live = live_frames_of(film)
    assert len(live) > FRAMES - 5  # the decoder holds some back when a live stream ends
    assert not any(frame is None for frame in whole + live)
    overwrite(film, 15, 0.8, lambda count: bytes(count - 1) + b"\x5a")
    for frames in (frames_of(film), live_frames_of(film)):
        assert any(frame is None for frame in frames)
        assert all(any(np.array_equal(frame, good) for good in whole) for frame in frames if frame is not None)


def not_coded(number: int) -> bytes:
    """A packet of MPEG-4 that says that the picture before stays; 25 a second."""
    bits = f"0101{number % 25:05b}10" + "0"
    bits += "1" * (-len(bits) % 8)
    return b"\0\0\1\xb6" + int(bits, 2).to_bytes(len(bits) // 8, "big")


@pytest.mark.parametrize("suffix", [".avi", ".mp4", ".mkv"])
def test_a_packet_that_lets_the_picture_before_stay_is_no_frame_and_damages_none(
    tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    film = tmp_path / f"film{suffix}"
    with (
        av.open(str(write_film(tmp_path / f"whole{suffix}", "mpeg4", FRAMES))) as whole,
        av.open(str(film), "w") as written,
    ):
        stream = written.add_stream_from_template(whole.streams.video[0])
        for number, packet in enumerate(packet for packet in whole.demux(video=0) if packet.size):
            kept = av.Packet(not_coded(number)) if number in (13, 14, 27) else packet
            kept.pts, kept.dts, kept.time_base = packet.pts, packet.dts, packet.time_base
            kept.stream = stream
            written.mux(kept)
    frames = frames_of(film)
    assert len(frames) == FRAMES - 3
    assert not any(frame is None for frame in frames)
    assert not caplog.records
