"""Films whose packets have no times, or whose clock begins anew: each frame is told of, and none passes that
is damaged."""

from pathlib import Path

import av
import numpy as np
import pytest

from tests.runtime.cameras.test_video_stream import frames_of, overwrite, packets_of, write_film

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
    whole = frames_of(write_film(tmp_path / name, codec, FRAMES))
    for packet in range(1, FRAMES, 3):
        film = write_film(tmp_path / name, codec, FRAMES)
        overwrite(film, packet, 0.8, lambda count: bytes(count - 1) + b"\x5a")
        frames = frames_of(film)
        assert len(frames) == len(packets_of(film))
        passed = [frame for frame in frames if frame is not None]
        assert all(any(np.array_equal(frame, good) for good in whole) for frame in passed)


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
