"""H.264: which frames its packets show to be missing; its decoder does not tell.

A frame's number is that of the last frame on which others build, or one more (frame_num, 7.4.3 of the standard): so one
is missed that the camera, or who wrote the film, left out. The decoder fills the gap with what it showed before.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from runtime.cameras.streams.units import are_a_description, marked

log = logging.getLogger(__name__)

SLICE, KEY_SLICE, SEQUENCE, PICTURE = 1, 5, 7, 8
"""Kinds of units: of a frame, of one that starts again, and the headers of a sequence and of pictures."""
WITH_CHROMA = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)
"""Profiles whose header of a sequence tells how colours are stored, and scaling lists."""
NUMBER_WITHIN, HEADER_WITHIN = 64, 1024
"""Bytes: where a frame's number stands in its data, and how much of a header is read. What is longer is nonsense."""


class _Numbering(NamedTuple):
    """How a sequence numbers its frames."""

    bits: int
    is_by_colour: bool
    """The number stands behind that of a colour plane."""
    has_gaps: bool
    """Gaps are as they should be: layers may be left out."""


class H264Frames:
    """Follows one stream, packet by packet in the order of decoding. It belongs to the thread that reads."""

    def __init__(self, headers: bytes, name: str = "") -> None:
        """`headers` is what the container or the session's description says ahead (FFMPEG's extradata).

        Camera `name` is told in the log once, at the first frame that it left out.
        """
        self._name = name
        self._is_told = False
        self._numberings: dict[int, _Numbering] = {}
        self._sequences: dict[int, int] = {}
        """Which sequence a picture's header belongs to."""
        self._last: int | None = None
        """Of the last frame on which others build."""
        for unit in _of_configuration(headers) if are_a_description("h264", headers) else marked(headers):
            self._learn(unit)

    def misses_one(self, units: Sequence[bytes]) -> bool:
        """Say whether a frame on which others build is missing before that of a packet's `units`."""
        for unit in units:
            if unit and unit[0] & 31 in (SLICE, KEY_SLICE):
                try:
                    return self._follow(unit)
                except (IndexError, KeyError):  # cut off, or its headers have not come: the decoder tells
                    return False
            self._learn(unit)
        return False

    def _learn(self, unit: bytes) -> None:
        try:
            if unit and unit[0] & 31 == SEQUENCE:
                number, numbering = _sequence(_Bits(unit[1:HEADER_WITHIN]))
                self._numberings[number] = numbering
            elif unit and unit[0] & 31 == PICTURE:
                bits = _Bits(unit[1:HEADER_WITHIN])
                self._sequences[bits.whole()] = bits.whole()
        except IndexError:
            pass

    def _follow(self, unit: bytes) -> bool:
        bits = _Bits(unit[1:NUMBER_WITHIN])
        bits.whole()  # where it stands in the frame
        bits.whole()  # its kind
        numbering = self._numberings[self._sequences[bits.whole()]]
        bits.take(2 * numbering.is_by_colour)
        number = bits.take(numbering.bits)
        begins_anew = unit[0] & 31 == KEY_SLICE or self._last is None
        step = 0 if self._last is None else (number - self._last) % (1 << numbering.bits)
        if unit[0] & 0x60:  # others build on it
            self._last = number
        is_missed = not begins_anew and not numbering.has_gaps and step > 1
        if is_missed and not self._is_told:
            self._is_told = True
            log.warning("camera leaves out frames camera=%s", self._name)
        return is_missed


class _Bits:
    """Reads numbers from a unit, bit by bit. Raises IndexError behind its end."""

    def __init__(self, unit: bytes) -> None:
        data = unit.replace(b"\0\0\3", b"\0\0")
        self._bits = f"{int.from_bytes(data, 'big'):0{8 * len(data)}b}" if data else ""
        self._at = 0

    def take(self, count: int) -> int:
        """Give the number of the next `count` bits."""
        self._at += count
        if self._at > len(self._bits):
            raise IndexError
        return int(self._bits[self._at - count : self._at] or "0", 2)

    def whole(self) -> int:
        """Give the next number of a length of its own (ue, 9.1 of the standard)."""
        zeros = 0
        while not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)


def _sequence(bits: _Bits) -> tuple[int, _Numbering]:
    """Read a sequence's number, and how it numbers its frames."""
    profile = bits.take(24) >> 16
    number = bits.whole()
    is_by_colour = _skip_colours(bits) if profile in WITH_CHROMA else False
    width = bits.whole() + 4
    order = bits.whole()
    if order == 0:
        bits.whole()
    elif order == 1:
        bits.take(1)
        bits.whole()
        bits.whole()
        for _ in range(bits.whole()):
            bits.whole()
    bits.whole()
    return number, _Numbering(width, is_by_colour, bool(bits.take(1)))


def _skip_colours(bits: _Bits) -> bool:
    """Read how colours are stored; returns whether each has a plane of its own."""
    chroma = bits.whole()
    is_by_colour = bool(bits.take(1)) if chroma == 3 else False
    bits.whole()
    bits.whole()
    bits.take(1)
    if bits.take(1):
        for number in range(12 if chroma == 3 else 8):
            if bits.take(1):
                _skip_scaling(bits, 16 if number < 6 else 64)
    return is_by_colour


def _skip_scaling(bits: _Bits, length: int) -> None:
    last = following = 8
    for _ in range(length):
        if following:
            coded = bits.whole()
            following = (last + (coded + 1) // 2 * (1 if coded % 2 else -1)) % 256
        last = following or last


def _of_configuration(data: bytes) -> Iterator[bytes]:
    """Give the headers in a container's description of the stream (avcC): of sequences, then of pictures."""
    at = 5
    for mask in (31, 255):
        count = data[at] & mask if at < len(data) else 0
        at += 1
        for _ in range(count):
            length = int.from_bytes(data[at : at + 2], "big")
            yield data[at + 2 : at + 2 + length]
            at += 2 + length
