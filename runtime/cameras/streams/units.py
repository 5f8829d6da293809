"""Units: the parts (NAL) of a packet of H.264 or H.265, and what none of them holds as it was written.

Two zeros are followed by at least 3 within a unit, and none ends with zeros (7.4.1 of H.264, 7.4.2 of H.265): so zeros
stand where something was lost, or never written. The decoder may make a whole frame of it.

Some who write films leave the zeros there by which a camera's chip comes to round lengths: where many units
have them, they tell nothing.
"""

import re
from collections.abc import Iterator, Sequence

NEVER_WRITTEN = re.compile(rb"\0\0[\0-\2]")
LONGEST_PADDING = 512
"""More zeros than come to a round length are no padding."""
PADDED_SHARE, LEAST_PADDED = 0.25, 4
"""Of units that end with zeros where they are padded, and how many at least: to lengths of 4 it is half of them."""
LENGTH_AT = {"h264": 4, "hevc": 21}
"""Where a container's description of the stream (avcC, hvcC) says how many bytes a unit's length has."""


class Units:
    """Takes the packets of one stream apart."""

    def __init__(self, codec: str, headers: bytes) -> None:
        """`headers` is what the container or the session's description says ahead (FFMPEG's extradata)."""
        self._is_h264 = codec == "h264"
        self.length_bytes = (headers[LENGTH_AT[codec]] & 3) + 1 if are_a_description(codec, headers) else 0
        """Of a unit's length, which stands before it in MP4 and Matroska; 0: units begin with a mark."""
        self.are_padded = False
        """Whether zeros behind a picture's unit are usual in it."""

    def of(self, packet: bytes) -> list[bytes]:
        """Give the units of a packet."""
        # Zeros may stand before a mark.
        return [*self._measured(packet)] if self.length_bytes else [unit.rstrip(b"\0") for unit in marked(packet)]

    def are_as_written(self, units: Sequence[bytes]) -> bool:
        """Whether no zeros stand in those of a picture for something else.

        One may have come with a unit into a film; and what else stands beside them some cameras write as they like.
        """
        own = map(self._without_padding, self._of_pictures(units))
        return not any(NEVER_WRITTEN.search(unit) or unit.endswith(b"\0\0") for unit in own)

    def get_to_know(self, packets: Sequence[bytes]) -> None:
        """See by the first packets whether zeros behind units are usual."""
        ends = [unit.endswith(b"\0\0") for packet in packets for unit in self._of_pictures(self.of(packet))]
        self.are_padded = sum(ends) >= max(LEAST_PADDED, PADDED_SHARE * len(ends))

    def _of_pictures(self, units: Sequence[bytes]) -> list[bytes]:
        return [unit for unit in units if unit and self._is_of_a_picture(unit[0])]

    def _without_padding(self, unit: bytes) -> bytes:
        content = unit.rstrip(b"\0")
        return content if self.are_padded and len(unit) - len(content) < LONGEST_PADDING else unit

    def _is_of_a_picture(self, head: int) -> bool:
        return 1 <= head & 31 <= 5 if self._is_h264 else head >> 1 & 63 < 32

    def _measured(self, data: bytes) -> Iterator[bytes]:
        at = 0
        while at + self.length_bytes < len(data):
            length = int.from_bytes(data[at : at + self.length_bytes], "big")
            at += self.length_bytes
            yield data[at : at + length]
            at += length


def are_a_description(codec: str, headers: bytes) -> bool:
    """Whether a stream's headers are a container's description of it, and not units with marks."""
    return len(headers) > LENGTH_AT[codec] + 2 and headers[0] == 1


def marked(data: bytes) -> Iterator[bytes]:
    """Give the units that begin with a mark each."""
    start = data.find(b"\0\0\1")
    while start >= 0:
        end = data.find(b"\0\0\1", start + 3)
        yield data[start + 3 : end if end >= 0 else len(data)]
        start = end
