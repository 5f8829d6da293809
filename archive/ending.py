"""The ending: results in their place, and the work for them, which goes then; a kill between loses neither."""

import json
import shutil
from pathlib import Path

from core.errors import ConfigError
from core.files import write_whole

MARK = "written.json"
"""In the work: which file its results are."""


def require_new(output: Path, work: Path) -> None:
    """Refuse a results file that stands already, unless it is of the unfinished `work` itself. Raises ConfigError."""
    if output.exists() and not is_written(output, work):
        raise ConfigError(f"{output}: exists; choose another --output.")


def note_written(part: Path, work: Path) -> None:
    """Note what is to take its place as the results of `work`. Raises OSError."""
    write_whole(work / MARK, json.dumps(_mark(part)).encode())


def is_written(output: Path, work: Path) -> bool:
    """Whether `output` is what `work` led to, so that nothing is left to do but to tell of it and to clear up."""
    try:
        return bool(json.loads((work / MARK).read_bytes()) == _mark(output))
    except (OSError, ValueError):
        return False


def clear(work: Path) -> None:
    """Take the work away in one step, since what a kill left of it would be taken for unfinished. Raises OSError."""
    gone = work.with_name(f".{work.name}.gone")
    shutil.rmtree(gone, ignore_errors=True)
    work.rename(gone)
    shutil.rmtree(gone)


def _mark(file: Path) -> list[int]:
    stat = file.stat()
    return [stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns]
