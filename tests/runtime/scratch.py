"""A folder for a property test that writes a database for each of its examples."""

import os
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108


def scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder that is gone afterwards, in memory where there is such: what waits for a disk proves nothing here."""
    return tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None)
