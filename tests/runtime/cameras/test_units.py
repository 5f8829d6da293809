"""Zeros that stand within a packet of H.264 or H.265 for what was lost, or never written; and sums in the stream."""

from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from runtime.cameras.units import Units, is_as_written
from tests.runtime.cameras.test_video_stream import frames_of, packets_of

SIZE = (96, 128)
KEY_EVERY = 6
OPTIONS = {
    "libx264": {"crf": "12", "x264-params": "bframes=0:scenecut=0"},
    "libx265": {"crf": "12", "x265-params": "log-level=none:bframes=0:scenecut=0:hash=0"},
    "libx265, with sums": {"crf": "12", "x265-params": "log-level=none:bframes=0:scenecut=0:hash=1"},
}


@cache
def grainy(codec: str, folder: Path, suffix: str = ".mp4") -> bytes:
    """A film with frames of many bytes, as a file."""
    film = folder / f"grainy{suffix}"
    with av.open(str(film), "w") as container:
        stream: Any = container.add_stream(codec.split(",", maxsplit=1)[0], rate=25)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.gop_size, stream.codec_context.options = KEY_EVERY, OPTIONS[codec]
        for number in range(3 * KEY_EVERY):
            picture = np.random.default_rng(number).integers(80, 160, (*SIZE, 3)).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode())
    return film.read_bytes()


def damaged(content: bytes, film: Path, packet: int, put: bytes) -> list[Any]:
    """The frames of a film with something else in the middle of a packet."""
    film.write_bytes(content)
    at, size = packets_of(film)[packet]
    middle = at + size // 2
    assert len(put) < size // 2
    film.write_bytes(content[:middle] + put + content[middle + len(put) :])
    return frames_of(film)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("zeros", [16, 600])
def test_zeros_within_a_frame_s_data_are_told_though_the_decoder_takes_them(
    tmp_path: Path, codec: str, suffix: str, zeros: int
) -> None:
    content = grainy(codec, tmp_path, suffix)
    for packet in (KEY_EVERY, KEY_EVERY + 1, KEY_EVERY + 4):
        frames = damaged(content, tmp_path / f"film{suffix}", packet, bytes(zeros))
        is_none = [frame is None for frame in frames]
        assert is_none == [packet <= number < 2 * KEY_EVERY for number in range(3 * KEY_EVERY)]


def test_of_h265_with_sums_foreign_bytes_are_told(tmp_path: Path) -> None:
    content = grainy("libx265, with sums", tmp_path)
    for packet in (KEY_EVERY, KEY_EVERY + 3):
        frames = damaged(content, tmp_path / "film.mp4", packet, b"foreign")
        assert all(frame is not None for frame in frames[:packet] + frames[-KEY_EVERY:])
        assert not any(frame is not None for frame in frames[packet : 2 * KEY_EVERY])


@pytest.mark.parametrize("unit", [b"\x41\0\0\0\x80", b"\x41\0\0\1\x80", b"\x41\0\0\2\x80", b"\x41\x80\0\0"])
def test_what_no_encoder_writes_is_not_as_written(unit: bytes) -> None:
    assert not is_as_written(unit)
    assert is_as_written(unit.replace(b"\0\0", b"\0"))


def test_zeros_before_a_mark_belong_to_no_unit() -> None:
    packet = b"\0\0\0\1\x67\x80\0\0\0\1\x41\0\0\3\1\x80\0\0"
    assert Units("h264", b"").of(packet) == [b"\x67\x80", b"\x41\0\0\3\1\x80"]
