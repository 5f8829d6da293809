"""The birth and death number (bdSeq): which connection a birth and its death belong to. It goes on over restarts."""

import logging
from pathlib import Path

from core.files import write_whole

log = logging.getLogger(__name__)


def next_birth_number(file: Path) -> int:
    """Count the next connection, 0 to 255 and round again, and keep the number in `file`."""
    try:
        number = (int(file.read_text(encoding="ascii")) + 1) % 256
    except FileNotFoundError:
        number = 0
    except (OSError, ValueError) as error:
        log.warning("sparkplug: last bdSeq cannot be read, counted from 0 file=%s reason=%r", file, str(error))
        number = 0
    try:
        write_whole(file, str(number).encode())
    except OSError as error:
        log.warning("sparkplug: bdSeq cannot be kept, hosts may mix deaths up after a restart reason=%r", str(error))
    return number
