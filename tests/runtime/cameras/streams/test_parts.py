"""Parts of motion JPEG: what their heads say is put right, wherever the line cuts them; nothing else is touched."""

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from av.packet import Packet
from hypothesis import given
from hypothesis import strategies as st

from runtime.cameras.streams.parts import LONGEST_HEAD, Parts, begins_with_head

SAID = b"--frame\r\nContent-Type: image/jpeg\r\n"
PICTURE = b"\xff\xd8 a picture\n with --frame in it\n--fram \xff\xd9"


def part(head: bytes) -> bytes:
    return b"--frame\r\n" + head + b"Content-Length: 5\r\n\r\n" + PICTURE + b"\r\n"


def read(packets: list[bytes], size: int = 7) -> bytes:
    body: Any = SimpleNamespace(demux=lambda: iter([*packets, b""]), close=lambda: None)
    parts, told = Parts(body), b""
    while given := parts.read(size):
        assert len(given) <= size
        told += given
    return told


@pytest.mark.parametrize("kind", [b"", b"Content-Type: image/jpg\r\n", b"content-type:image/PJPEG \r\n"])
@given(cuts=st.lists(st.integers(0, 400)))
def test_a_part_that_may_be_a_picture_is_said_to_be_one(kind: bytes, cuts: list[int]) -> None:
    body = b"\r\n" + part(kind) * 3
    ends = sorted({0, len(body), *(each for each in cuts if each < len(body))})
    packets = [body[start:end] for start, end in pairwise(ends)]
    assert (
        read(packets).replace(b"\r\n\r\n--frame", b"\r\n--frame").strip()
        == ((SAID + b"Content-Length: 5\r\n\r\n" + PICTURE + b"\r\n") * 3).strip()
    )


@pytest.mark.parametrize(
    "body",
    [
        part(b"Content-Type: text/plain\r\n") * 2,
        b"<html>Please log in</html>",
        b"--frame\r\n" + b"X: no end\r\n" * LONGEST_HEAD,
        b"",
        bytes(10 * LONGEST_HEAD),
    ],
)
def test_what_is_no_picture_is_left_as_it_is(body: bytes) -> None:
    assert read([body], 2**20).strip() == body.strip()


def test_a_picture_waits_for_nothing_that_comes_after_it() -> None:
    body: Any = SimpleNamespace(demux=lambda: iter([part(b"")[:-2]]), close=lambda: None)
    assert Parts(body).read(2**20).endswith(PICTURE)


@pytest.mark.parametrize(
    ("first", "is_so"), [(b"--frame\r\nX: 1\r\n\r\n\xff\xd8", True), (b"\xff\xd8", False), (b"<p>", False)]
)
def test_what_ffmpeg_takes_for_a_picture_shows_whether_a_head_stands_before_it(first: bytes, is_so: bool) -> None:
    assert begins_with_head(Packet(first)) is is_so
