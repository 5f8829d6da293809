"""Moving: a judged picture goes under a free name, and a kill at any moment leaves it there once, or here."""

import errno
import logging
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from core.files import becoming
from runtime.cameras.files import printable
from runtime.cameras.folders.folder_look import mount_of, require_mounted
from runtime.cameras.folders.newcomers import Seen
from runtime.threads.seldom import Seldom

log = logging.getLogger(__name__)
REMEDY = "free the disk, mount its share, or check the permissions of both folders; it is tried again"
AGAIN_AFTER_S = 1.0
"""What could not be moved is tried again after so long, one of them where it fails again."""
TURN_S = 0.05
"""For so long at once: what comes new is judged meanwhile, however much was left."""
Judged = tuple[Path, Seen, bytes]
"""A picture, as it was seen, and its cause; see Frame."""


class Mover:
    """Moves judged pictures from below one folder to below another. Belongs to one thread, but for `add`."""

    def __init__(self, source: Path, to: Path, has_moved: Callable[[bytes], None]) -> None:
        """Tell `has_moved` of each cause that is done with. Both folders are there."""
        self.to = to
        self.begun_s: float | None = None
        """When the move that is under way was begun; None between two. For any thread."""
        self.problem = ""
        """Why pictures are left where they were, in words that stay while it lasts; empty: none is. For any thread."""
        self._source = source
        self._has_moved = has_moved
        self._mounts = mount_of(source), mount_of(to)
        self._judged: deque[Judged] = deque()
        self._left: deque[Judged] = deque()
        """What could not be moved."""
        self._again_s = 0.0
        self._seldom = Seldom()

    def add(self, judged: Judged) -> None:
        """Have it moved by the next `tidy`. For any thread; returns at once."""
        self._judged.append(judged)

    def tidy(self) -> None:
        """Move what was judged; a share that is away lets it wait."""
        while self._judged:
            self._try(self._judged.popleft())
        until_s = time.monotonic() + TURN_S
        while self._left and self._again_s <= time.monotonic() < until_s:
            if not self._try(self._left.popleft()):
                break
            if not self._left:
                self.problem = ""
                log.info('judged pictures are moved again to="%s"', printable(self.to))

    def _try(self, judged: Judged) -> bool:
        picture, seen, cause = judged
        goal = self.to / picture.relative_to(self._source)
        self.begun_s = time.monotonic()
        try:
            for mount in self._mounts:
                require_mounted(mount)
            goal.parent.mkdir(parents=True, exist_ok=True)
            picture.stat()  # where that is not answered the picture is not gone
            if not seen.is_still(picture):
                raise FileNotFoundError
            move(picture, goal, seen.changed_ns)
        except FileNotFoundError:
            log.info("judged picture was taken away before it was moved file=%s", printable(picture))
        except OSError as error:
            self._left.append(judged)
            self._again_s = time.monotonic() + AGAIN_AFTER_S
            reason = error.strerror or str(error)
            self.problem = f"judged pictures cannot be moved to {printable(self.to)} ({reason}); {REMEDY}"
            if self._seldom.is_due("left"):
                told = "judged picture cannot be moved file=%s to=%s waiting=%d reason=%r remedy=%r"
                log.error(told, printable(picture), printable(goal), len(self._left), reason, REMEDY)
            return False
        finally:
            self.begun_s = None
        self._has_moved(cause)
        return True


def move(picture: Path, goal: Path, changed_ns: int) -> None:
    """Move to `goal`, or where another has that name, to one with the time `changed_ns` in it.

    Between two file systems, and on those without links, a kill in this moment may leave an empty file under the name,
    and beside it a hidden part.
    Raises FileNotFoundError where the picture is gone, OSError where it cannot be moved.
    """
    for name in _names(goal, changed_ns):
        try:
            os.link(picture, name, follow_symlinks=False)
        except FileExistsError:
            # Ours, where a kill came between the two steps.
            if not os.path.samestat(name.lstat(), picture.lstat()):
                continue
        except FileNotFoundError:
            raise
        except OSError:
            try:
                name.touch(exist_ok=False)
            except FileExistsError:
                continue
            try:
                _move_over(picture, name)
            except OSError:
                name.unlink()
                raise
            return
        picture.unlink()
        return


def _move_over(picture: Path, name: Path) -> None:
    """Move over the empty file `name`; from another file system whole or not at all. Raises OSError."""
    try:
        picture.replace(name)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with becoming(name) as part:
            shutil.copy2(picture, part, follow_symlinks=False)
        picture.unlink()


def _names(goal: Path, changed_ns: int) -> Iterator[Path]:
    yield goal
    time_of_it = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(changed_ns // 10**9))
    yield goal.with_name(f"{goal.stem}-{time_of_it}{goal.suffix}")
    number = 2
    while True:
        yield goal.with_name(f"{goal.stem}-{time_of_it}-{number}{goal.suffix}")
        number += 1
