"""Units: the parts (NAL) of a packet of H.264 or H.265, and what none of them holds as it was written.

Two zeros are followed by at least 3 within a unit, and none ends with zeros (7.4.1 of H.264, 7.4.2 of H.265): so zeros
stand where something was lost, or never written. The decoder may make a whole frame of it.
"""

import re
from collections.abc import Iterator

NEVER_WRITTEN = re.compile(rb"\0\0[\0-\2]")
LENGTH_AT = {"h264": 4, "hevc": 21}
"""Where a container's description of the stream (avcC, hvcC) says how many bytes a unit's length has."""


class Units:
    """Takes the packets of one stream apart."""

    def __init__(self, codec: str, headers: bytes) -> None:
        """`headers` is what the container or the session's description says ahead (FFMPEG's extradata)."""
        at = LENGTH_AT[codec]
        is_described = len(headers) > at + 2 and headers[0] == 1
        self.length_bytes = (headers[at] & 3) + 1 if is_described else 0
        """Of a unit's length, which stands before it in MP4 and Matroska; 0: units begin with a mark."""

    def of(self, packet: bytes) -> list[bytes]:
        """Give the units of a packet."""
        # Zeros may stand before a mark.
        return [*self._measured(packet)] if self.length_bytes else [unit.rstrip(b"\0") for unit in marked(packet)]

    def _measured(self, data: bytes) -> Iterator[bytes]:
        at = 0
        while at + self.length_bytes < len(data):
            length = int.from_bytes(data[at : at + self.length_bytes], "big")
            at += self.length_bytes
            yield data[at : at + length]
            at += length


def is_as_written(unit: bytes) -> bool:
    """Whether no zeros stand in the place of something else. One may have come with the unit into a film."""
    return NEVER_WRITTEN.search(unit) is None and not unit.endswith(b"\0\0")


def marked(data: bytes) -> Iterator[bytes]:
    """Give the units that begin with a mark each."""
    start = data.find(b"\0\0\1")
    while start >= 0:
        end = data.find(b"\0\0\1", start + 3)
        yield data[start + 3 : end if end >= 0 else len(data)]
        start = end
