"""Holes in JPEG: bytes of 0 that a disk gave in place of those that were never written there.

A decoder reads on in them: they are codes like others, and where as many blocks come of them as were lost, nothing is
too few or too many in the end. But a code of zeros again and again means the same coefficient in place after place,
which no picture has, unless it is the code by which a block ends, as where a picture is flat.
"""

import re

SMALLEST_HOLE = 256
"""Bytes: what is shorter holds too few blocks to tell."""
MOST_SEGMENTS, MOST_SCANS = 4096, 100
"""Of a JPEG: more is written only to slow down who reads it, for each scan is gone through for the whole picture. Usual
are ten."""
START_OF_SCAN, TABLES = 0xDA, 0xC4
SCAN = b"\xff\xda"
END_OF_DATA = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def has_hole(data: bytes) -> bool:
    """Say whether a scan of a JPEG has a hole in it.

    Raises ValueError where the segments after its first scan are too many.
    """
    if data.find(bytes(SMALLEST_HOLE)) < 0:
        return False
    first: dict[int, int] = {}  # what a code of zeros means, by the table's kind (16: of AC) and number
    at, segments = 2, 0
    while 0 <= at < len(data) - 4 and data[at] == 0xFF and data[at + 1] != 0xD9:
        if (segments := segments + 1) > 2 * MOST_SEGMENTS:
            raise ValueError("segments without end")
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == TABLES:
            first |= _first_of_each(data[at + 4 : at + 2 + length])
        body, at = data[at + 4 : at + 2 + length], at + 2 + length
        if marker == START_OF_SCAN:
            end = END_OF_DATA.search(data, at)
            following = end.start() if end else len(data)
            if not _may_be_zeros(body, first) and data.find(bytes(SMALLEST_HOLE), at, following) >= 0:
                return True
            at = following
    return False


def _first_of_each(tables: bytes) -> dict[int, int]:
    """Give the first symbol of each Huffman table of a segment: the shortest code, which is of zeros alone."""
    found, at = {}, 0
    while at + 17 < len(tables):
        symbols = sum(tables[at + 1 : at + 17])
        found[tables[at]] = tables[at + 17]
        at += 17 + symbols
    return found


def _may_be_zeros(scan: bytes, first: dict[int, int]) -> bool:
    """Say whether a scan of a flat picture is zeros, by its header and the tables; one without tables may be."""
    count = scan[0] if scan else 0
    if len(scan) < 4 + 2 * count:
        return True
    tables = scan[2 : 2 + 2 * count : 2]
    begins, ends, precision = scan[1 + 2 * count : 4 + 2 * count]
    if begins == 0 and precision >> 4:  # a bit of each block, without a code
        return True
    of_dc = [first.get(each >> 4, 0) == 0 for each in tables] if begins == 0 else []
    # In a progressive picture 0x10 to 0xE0 end several blocks at once.
    of_ac = [first.get(16 | each & 15, 0) in ((0,) if begins == 0 else range(0, 0xF0, 16)) for each in tables]
    return all(of_dc + (of_ac if ends else []))
