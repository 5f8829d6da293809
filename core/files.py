"""Files that are written whole or not at all, and the room that is left for them."""

import shutil
from pathlib import Path


def write_whole(file: Path, content: bytes) -> None:
    """Write `file` in one step, so that nobody ever reads half of it. Raises OSError; what was there then stays."""
    part = file.with_name(f".{file.name}.part")
    try:
        part.write_bytes(content)
        part.replace(file)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def free_space(folder: Path) -> str:
    """Say in words how much is free on the disk of `folder`."""
    return f"{shutil.disk_usage(folder).free / 1e9:.1f} GB free"
