"""The journal that SQLite keeps beside a database (`-wal`), as far as its headers tell what is in it.

SQLite reads it up to the first frame that is damaged or cut, and says nothing of what stands behind; where the header
of the whole is damaged, it reads nothing and removes it.
"""

import errno
import os
import struct
from collections.abc import Sequence
from pathlib import Path

MARKS = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")
HEADER_BYTES, FRAME_HEADER_BYTES = 32, 24


def changes(journal: Path) -> Sequence[int]:
    """Give the last frame of each change (transaction), counted from 1; none where there is no journal.

    Raises OSError where it cannot be read, or its header is damaged.
    """
    found: list[int] = []
    try:
        opened = journal.open("rb")
    except FileNotFoundError:
        return found
    with opened:
        size = os.fstat(opened.fileno()).st_size
        header = opened.read(HEADER_BYTES)
        if len(header) < HEADER_BYTES or not any(header):  # a power cut in its first moment
            return found
        if header[:4] not in MARKS or header[24:] != _checksum(header):
            raise OSError(errno.EBADMSG, "its first bytes are damaged", str(journal))
        page_bytes, salt = int.from_bytes(header[8:12], "big"), header[16:24]
        frame_bytes = FRAME_HEADER_BYTES + page_bytes
        for number in range(1, (size - HEADER_BYTES) // frame_bytes + 1):
            opened.seek(HEADER_BYTES + (number - 1) * frame_bytes)
            frame = opened.read(FRAME_HEADER_BYTES)
            if frame[8:16] == salt and any(frame[4:8]):  # others are of an earlier use of the file, or damaged
                found.append(number)
    return found


def _checksum(header: bytes) -> bytes:
    """Add up the header's words as SQLite does."""
    first = second = 0
    words = struct.unpack(f"{'>' if header[3] & 1 else '<'}6I", header[:24])
    for one, other in zip(words[::2], words[1::2], strict=True):
        first = (first + one + second) % 2**32
        second = (second + other + first) % 2**32
    return struct.pack(">2I", first, second)
