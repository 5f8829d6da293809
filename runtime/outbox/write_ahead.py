"""The journal that SQLite keeps beside a database (`-wal`), as far as its headers tell what is in it.

SQLite reads it up to the first frame that is damaged or cut, and says nothing of what stands behind.
"""

import os
from collections.abc import Sequence
from pathlib import Path

MARKS = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")
HEADER_BYTES, FRAME_HEADER_BYTES = 32, 24


def journal_of(database: Path) -> Path:
    """Where a database's journal is."""
    return database.with_name(f"{database.name}-wal")


def changes(journal: Path) -> Sequence[int]:
    """Give the last frame of each change (transaction), counted from 1; none where there is no journal.

    Raises OSError where it cannot be read.
    """
    found: list[int] = []
    try:
        opened = journal.open("rb")
    except FileNotFoundError:
        return found
    with opened:
        size = os.fstat(opened.fileno()).st_size
        header = opened.read(HEADER_BYTES)
        page_bytes, salt = int.from_bytes(header[8:12], "big"), header[16:24]
        if header[:4] not in MARKS:
            return found
        frame_bytes = FRAME_HEADER_BYTES + page_bytes
        for number in range(1, (size - HEADER_BYTES) // frame_bytes + 1):
            opened.seek(HEADER_BYTES + (number - 1) * frame_bytes)
            frame = opened.read(FRAME_HEADER_BYTES)
            if frame[8:16] != salt:  # of an earlier use of the file
                break
            if any(frame[4:8]):
                found.append(number)
    return found
