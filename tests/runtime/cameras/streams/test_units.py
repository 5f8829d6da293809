"""Zeros that stand within a packet of H.264 or H.265 for what was lost, or never written."""

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from runtime.cameras.streams.units import Units
from tests.runtime.cameras.streams.test_video_stream import frames_of, packets_of

SIZE = (96, 128)
KEY_EVERY = 6
CODECS = {"libx264": "h264", "libx265": "hevc"}
OPTIONS = {
    "libx264": {"crf": "12", "x264-params": "bframes=0:scenecut=0"},
    "libx265": {"crf": "12", "x265-params": "log-level=none:bframes=0:scenecut=0"},
}


@cache
def grainy(codec: str, suffix: str = ".mp4") -> bytes:
    """A film with frames of many bytes, as a file, encoded once."""
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / f"grainy{suffix}"
        with av.open(str(film), "w") as container:
            stream: Any = container.add_stream(codec, rate=25)
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
    content = grainy(codec, suffix)
    for packet in (KEY_EVERY, KEY_EVERY + 1, KEY_EVERY + 4):
        frames = damaged(content, tmp_path / f"film{suffix}", packet, bytes(zeros))
        is_none = [frame is None for frame in frames]
        assert is_none == [packet <= number < 2 * KEY_EVERY for number in range(3 * KEY_EVERY)]


@pytest.mark.parametrize("rest", [b"\0\0\0\x80", b"\0\0\1\x80", b"\0\0\2\x80", b"\x80\0\0"])
@pytest.mark.parametrize(("codec", "picture", "message"), [("h264", b"\x41", b"\6"), ("hevc", b"\2\1", b"\x4e\1")])
def test_what_no_encoder_writes_tells_in_a_picture_and_not_in_what_stands_beside_it(
    codec: str, picture: bytes, message: bytes, rest: bytes
) -> None:
    units = Units(codec, b"")
    assert not units.are_as_written([picture + rest])
    assert units.are_as_written([message + rest, picture + rest.replace(b"\0\0", b"\0")])


def test_zeros_before_a_mark_belong_to_no_unit() -> None:
    packet = b"\0\0\0\1\x67\x80\0\0\0\1\x41\0\0\3\1\x80\0\0"
    assert Units("h264", b"").of(packet) == [b"\x67\x80", b"\x41\0\0\3\1\x80"]


def padded(content: bytes, film: Path, codec: str, to: int) -> list[int]:
    """Write a film anew, each unit of a picture with zeros up to a round length; returns how many each has."""
    whole, zeros = film.with_name(f"whole{film.suffix}"), []
    whole.write_bytes(content)
    with av.open(str(whole)) as source, av.open(str(film), "w") as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        units = Units(codec, source.streams.video[0].codec_context.extradata or b"")
        for packet in source.demux(video=0):
            own = units.of(bytes(packet))
            if own:
                zeros.append(-len(own[-1]) % to)
                own[-1] += bytes(zeros[-1])
                longer = av.Packet(b"".join(len(unit).to_bytes(4, "big") + unit for unit in own))
                longer.pts, longer.dts, longer.time_base = packet.pts, packet.dts, packet.time_base
                longer.is_keyframe, longer.stream = packet.is_keyframe, stream
                container.mux(longer)
    return zeros


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("to", [4, 32, 512])
def test_zeros_behind_units_are_no_damage_where_they_are_usual_and_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, codec: str, suffix: str, to: int
) -> None:
    film = tmp_path / f"film{suffix}"
    zeros = padded(grainy(codec, suffix), film, CODECS[codec], to)
    assert sum(count > 1 for count in zeros) > len(zeros) / 4
    assert all(frame is not None for frame in frames_of(film))
    assert "zeros stand behind its frames" in caplog.text


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_where_units_are_padded_zeros_within_them_and_longer_ones_behind_are_told(tmp_path: Path, codec: str) -> None:
    film = tmp_path / "film.mp4"
    padded(grainy(codec), film, CODECS[codec], 32)
    content = film.read_bytes()
    at, size = packets_of(film)[KEY_EVERY]
    for first, last in ((size // 2, size // 2 + 16), (size - 600, size)):
        film.write_bytes(content[: at + first] + bytes(last - first) + content[at + last :])
        is_none = [frame is None for frame in frames_of(film)]
        assert is_none == [KEY_EVERY <= number < 2 * KEY_EVERY for number in range(3 * KEY_EVERY)]


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_the_last_bytes_of_one_unit_are_missed_where_the_others_end_as_they_should(tmp_path: Path, codec: str) -> None:
    film = tmp_path / "film.mp4"
    content = grainy(codec)
    film.write_bytes(content)
    at, size = packets_of(film)[KEY_EVERY]
    film.write_bytes(content[: at + size - 5] + bytes(5) + content[at + size :])
    assert all(frame is None for frame in frames_of(film)[KEY_EVERY : 2 * KEY_EVERY])


def test_a_few_units_that_end_with_zeros_are_no_habit() -> None:
    units = Units("h264", b"")
    units.length_bytes = 4
    whole, cut = (bytes((0, 0, 0, 5)) + unit for unit in (b"\x41\x12\x34\x56\x80", b"\x41\x12\x34\0\0"))
    for packets, are_padded in (([cut] * 3, False), ([whole] * 29 + [cut] * 3, False), ([whole, cut] * 16, True)):
        units.get_to_know(packets)
        assert units.are_padded == are_padded
