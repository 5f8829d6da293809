"""Films cut, turned or mirrored without encoding them anew: given as players show them, and missed where damaged."""

import logging
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.runtime.cameras.streams.test_video_stream import assert_told, frames_of, overwrite, write_film

FRAMES, RATE = 40, 25
CUT = 13
"""Frames that are cut away; there is a key frame each 10."""


def cut(film: Path) -> None:
    """Let a film begin with frame CUT, as its list of edits says: the key frame that it builds on lies before."""
    content = film.read_bytes()
    edit = content.index(b"elst") + 12
    lasts, begins = struct.unpack_from(">II", content, edit)
    (scale,) = struct.unpack_from(">I", content, content.index(b"mdhd") + 16)
    changed = struct.pack(">II", lasts * (FRAMES - CUT) // FRAMES, begins + CUT * scale // RATE)
    film.write_bytes(content[:edit] + changed + content[edit + 8 :])


def key_packet(film: Path, before: int) -> int:
    """The number of the last key frame's packet that is shown before a frame."""
    with av.open(str(film)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    shown = sorted(packet.pts for packet in packets if packet.pts is not None)
    keys = (number for number, packet in enumerate(packets) if packet.is_keyframe)
    return max(number for number in keys if packets[number].pts in shown[:before])


@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg4", "mjpeg"])
def test_a_film_that_was_cut_between_two_key_frames_is_given_from_the_cut_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, codec: str
) -> None:
    film = write_film(tmp_path / "film.mov", codec)
    whole = frames_of(film)
    cut(film)
    with caplog.at_level(logging.WARNING, "runtime.cameras.files"):
        frames = frames_of(film)
    assert len(frames) == len(whole) - CUT
    assert all(np.array_equal(frame, as_filmed) for frame, as_filmed in zip(frames, whole[CUT:], strict=True))
    assert "cut or damaged" not in caplog.text


@pytest.mark.parametrize(
    ("codec", "put"),
    [
        ("libx264", bytes),
        ("libx264", lambda count: b"\x5a" * count),
        ("libx265", bytes),
        ("mpeg4", bytes),
        ("mpeg4", lambda count: b"\x5a" * count),
    ],
)
def test_what_builds_on_a_damaged_frame_that_was_cut_away_is_unreadable(tmp_path: Path, codec: str, put: Any) -> None:
    film = write_film(tmp_path / "film.mov", codec)
    whole = frames_of(film)
    overwrite(film, key_packet(film, before=CUT), 0.9, put)
    cut(film)
    frames = frames_of(film)
    assert len(frames) == len(whole) - CUT
    assert_told(frames, whole[CUT:])
    assert all(frame is None for frame in frames[:5])
    assert all(frame is not None for frame in frames[-15:])


@pytest.mark.parametrize("share", [0.3, 0.9])
@pytest.mark.parametrize("codec", ["libx264", "libx265", "mpeg4"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_frames_of_a_film_whose_first_key_frame_is_damaged_are_told_each(
    tmp_path: Path, suffix: str, codec: str, share: float
) -> None:
    film = write_film(tmp_path / f"film{suffix}", codec)
    whole = frames_of(film)
    overwrite(film, 0, share, bytes)
    frames = frames_of(film)
    assert frames[0] is None
    assert_told(frames, whole)
    assert all(frame is not None for frame in frames[-15:])


@pytest.mark.parametrize(
    ("matrix", "shown"),
    [
        ((-1, 0, 0, 1), np.fliplr),
        ((1, 0, 0, -1), np.flipud),
        ((-1, 0, 0, -1), lambda picture: np.rot90(picture, 2)),
        ((0, 1, 1, 0), lambda picture: picture.transpose(1, 0, 2)),
        ((0, 1, -1, 0), lambda picture: np.rot90(picture, -1)),
    ],
)
def test_a_film_that_says_how_it_is_turned_and_mirrored_is_given_so(
    tmp_path: Path, matrix: tuple[int, ...], shown: Callable[[Any], Any]
) -> None:
    film = write_film(tmp_path / "film.mp4")
    whole = frames_of(film)
    content = film.read_bytes()
    at = content.index(b"\0\1\0\0", content.index(b"tkhd") + 40)
    a, b, c, d = (value << 16 for value in matrix)
    film.write_bytes(content[:at] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + content[at + 36 :])
    frames = frames_of(film)
    assert all(np.array_equal(frame, shown(as_filmed)) for frame, as_filmed in zip(frames, whole, strict=True))
