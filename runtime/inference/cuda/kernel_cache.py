"""What TensorRT has found out about this machine's GPU, kept for the next time. Without it starts are slower."""

import logging
import os
from pathlib import Path

from core.errors import one_line
from core.files import write_whole

log = logging.getLogger(__name__)


def read_cache(name: str) -> bytes:
    """Give what was kept under `name`; nothing, where nothing was."""
    try:
        return _file(name).read_bytes()
    except (OSError, RuntimeError):  # RuntimeError: this user has no home
        return b""


def write_cache(name: str, content: bytes) -> None:
    """Keep `content` under `name`; where it cannot be kept, the log says so, and that is all."""
    try:
        file = _file(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, content)
    except (OSError, RuntimeError) as error:
        log.warning("kernels not kept reason=%r remedy=%r", one_line(error), "set XDG_CACHE_HOME to a writable folder")


def _file(name: str) -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "p-wae" / name
