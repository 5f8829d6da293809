"""A watched folder: every picture that is put into it, once, as soon as it is whole."""

import logging
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.errors import CameraError
from core.picture import find_pictures
from runtime.cameras.camera import Camera
from runtime.cameras.files import read_frame
from runtime.parts.frame import Frame

log = logging.getLogger(__name__)
LOOK_EVERY_S = 0.1
"""The folder is looked at this often: notifications do not come from a network's folders."""
SETTLED_S = 1.0
"""A picture that cannot be read and has not changed for this long will not become whole any more."""


@dataclass
class _Seen:
    size: int
    changed_ns: int
    since_s: float
    given: bool = False


class WatchedFolder(Camera):
    """Gives each picture once, on its feed's thread, until `stopping`; one that is written anew counts again."""

    frames_total = None

    def __init__(self, path: Path, move_to: Path | None) -> None:
        """Watch `path`. Raises CameraError where it is no folder, or `move_to` cannot be made or lies in it."""
        if not path.is_dir():
            raise CameraError(f"{path}: no such folder; make it, or mount it.")
        if move_to is not None:
            if move_to.resolve().is_relative_to(path.resolve()):
                raise CameraError(f"{move_to}: lies in the watched folder; set another `move_to`.")
            try:
                move_to.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise CameraError(f"{move_to}: cannot be made ({error.strerror}); check `move_to`.") from error
        self._path = path
        self._move_to = move_to
        self._seen: dict[Path, _Seen] = {}
        self._to_move: dict[str, Path] = {}
        """By the name that events carry, which is not the file's own where that is not UTF-8."""

    def frames(self, stopping: threading.Event) -> Iterator[Frame]:
        """See Camera. Pictures that appear together come in name order."""
        while not stopping.is_set():
            for picture in self._settled(time.monotonic()):
                if stopping.is_set():
                    return
                frame = read_frame(picture, self._path)
                seen = self._seen[picture]
                if frame.fault is None or time.monotonic() - seen.since_s >= SETTLED_S:
                    seen.given = True
                    if self._move_to is not None and frame.source is not None:
                        self._to_move[frame.source] = picture
                    yield frame
            stopping.wait(LOOK_EVERY_S)

    def judged(self, source: str) -> None:
        """See Camera."""
        picture = self._to_move.pop(source, None)
        if self._move_to is not None and picture is not None:
            goal = self._move_to / picture.relative_to(self._path)
            try:
                goal.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(picture, goal)
            except FileNotFoundError:
                log.info("judged picture was taken away before it was moved file=%s", picture)
            except OSError as error:
                log.error("judged picture cannot be moved file=%s to=%s: %s", picture, goal, error)

    def _settled(self, now_s: float) -> list[Path]:
        """List the pictures not yet given that have not changed between two looks."""
        found: dict[Path, _Seen] = {}
        settled = []
        for picture in find_pictures(self._path):
            try:
                stat = picture.stat()
            except OSError:
                continue
            seen = self._seen.get(picture)
            if seen is None or (seen.size, seen.changed_ns) != (stat.st_size, stat.st_mtime_ns):
                seen = _Seen(stat.st_size, stat.st_mtime_ns, now_s)
            elif not seen.given:
                settled.append(picture)
            found[picture] = seen
        self._seen = found
        return settled
