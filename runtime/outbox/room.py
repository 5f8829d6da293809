"""Room: the last of a disk is left for letting go of what the broker takes; SQLite writes where it deletes, too."""

import shutil
import sqlite3
from pathlib import Path

from core.errors import OutboxError
from runtime.outbox.settings import KEPT_BYTES

IN_FILE_BYTES = 1_000_000
"""Where so much of the file itself is free again, a batch of new events does not make it larger."""


def is_short(folder: Path) -> bool:
    """Whether the disk of `folder` has no more than what is kept."""
    try:
        return shutil.disk_usage(folder).free < KEPT_BYTES
    except OSError:  # somebody moved it, which the outbox tells, and stores as long as it can
        return False


def require_room(path: Path, database: sqlite3.Connection) -> None:
    """Raises OutboxError where neither the disk nor the file `path`, by what was let go of, has room for new events."""
    if not is_short(path.parent):
        return
    (pages,), (page_bytes,) = (database.execute(f"PRAGMA {of}").fetchone() for of in ("freelist_count", "page_size"))
    if pages * page_bytes < IN_FILE_BYTES:
        raise OutboxError(
            f"outbox {path}: its disk is full, but for {KEPT_BYTES / 1e6:.0f} MB by which it lets go of what the "
            "broker takes; make free space on the disk, or start again when the broker is back. What is stored stays."
        )
