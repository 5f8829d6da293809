"""Parts: motion JPEG over HTTP as servers word it. FFMPEG takes those alone that are of the type image/jpeg, to the
letter; many cameras send image/jpg, or no type.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet

PARTS = ("mpjpeg", "mjpeg")
"""What FFMPEG calls parts, and pictures in a row, which it may take them for."""
FIRST = re.compile(rb"\s*(--[^\r\n]{1,200})\r?\n")
"""What a body of parts begins with: the line that stands before each of them."""
LONGEST_HEAD = 4096
"""Bytes: what is longer is no head of a part."""
TYPE = re.compile(rb"^content-type[ \t]*:[ \t]*([^\r\n]*?)[ \t]*\r?\n", re.IGNORECASE | re.MULTILINE)
JPEG = re.compile(rb"(image/(p|x-)?jpe?g|application/octet-stream)?[ \t]*(;.*)?", re.IGNORECASE)
"""What such a picture is called; nothing, too."""


class Parts:
    """A body of parts, as a file, in which each that may be a JPEG is of the type image/jpeg. For one thread."""

    def __init__(self, body: InputContainer) -> None:
        """`body` is open in FFMPEG's format `data`: all that comes, as it comes."""
        self._body = body
        self._packets: Iterator[Any] = body.demux()
        self._raw, self._ready = b"\n", b""
        """What may be, or begin with, a head; what is to be given."""
        self._line = b""
        """What stands before each head; empty: it has not come."""
        self._head = FIRST

    def read(self, size: int) -> bytes:
        """Give up to `size` bytes, none at its end. Raises av.FFmpegError as the line does."""
        while not self._ready:
            packet = next(self._packets, None)
            come = bytes(packet) if packet is not None else b""
            self._raw += come
            self._look(is_over=not come)
            if not come:
                break
        given, self._ready = self._ready[:size], self._ready[size:]
        return given

    def close(self) -> None:
        """End the connection."""
        self._body.close()

    def _look(self, is_over: bool) -> None:
        """Make ready what is no head, and heads that are whole."""
        if not self._line and (first := FIRST.match(self._raw)):
            self._line = b"\n" + first[1]
            self._head = re.compile(re.escape(self._line) + rb"[ \t]*\r?\n(?:[^\r\n]+\r?\n)*\r?\n")
        while self._line and (head := self._head.search(self._raw)):
            self._ready += self._raw[: head.start()] + _said_to_be_jpeg(head[0])
            self._raw = self._raw[head.end() :]
        begins_at = self._raw.rfind(self._line or b"\n")
        if begins_at < 0:
            begins_at = self._raw.rfind(b"\n", -len(self._line))
            if begins_at < 0 or not self._line.startswith(self._raw[begins_at:]):
                begins_at = len(self._raw)
        if is_over or len(self._raw) - begins_at > LONGEST_HEAD:
            begins_at = len(self._raw)
        self._ready, self._raw = self._ready + self._raw[:begins_at], self._raw[begins_at:]


def with_good_heads(
    container: InputContainer, opened: Callable[[], InputContainer]
) -> tuple[InputContainer, list[Packet[Any]], Parts | None]:
    """Give a container of parts, or another one of the same if FFMPEG does not take their heads, and what was read.

    `opened` opens the body anew, in the format `data`; the Parts that then stand on it are to be closed in the end.
    Raises av.FFmpegError where nothing comes in time, or it cannot be opened.
    """
    ahead: list[Packet[Any]] = []
    is_refused = False
    try:
        ahead = [*islice(container.demux(video=0), 1)]
    except av.InvalidDataError:
        is_refused = True
    except av.ExitError:
        raise
    except av.FFmpegError:  # it is told where the stream is read on
        return container, [], None
    if not is_refused and not any(begins_with_head(each) for each in ahead):
        return container, ahead, None
    container.close()
    parts = Parts(opened())
    try:
        return av.open(parts, "r", format="mpjpeg", timeout=container.read_timeout), [], parts
    except av.FFmpegError:
        parts.close()
        raise


def begins_with_head(packet: Packet[Any]) -> bool:
    """Say whether what FFMPEG took for a picture begins with a part's head."""
    return FIRST.match(memoryview(packet)[:LONGEST_HEAD]) is not None


def _said_to_be_jpeg(head: bytes) -> bytes:
    told = TYPE.search(head)
    if told is not None and not JPEG.fullmatch(told[1]):
        return head
    line, _, others = head[1:].partition(b"\n")
    return b"\n" + line + b"\nContent-Type: image/jpeg\r\n" + TYPE.sub(b"", others)
