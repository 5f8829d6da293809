"""Moving: a judged picture goes under a free name, and a kill at any moment leaves it there once, or here."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path


def move(picture: Path, goal: Path, changed_ns: int) -> None:
    """Move to `goal`, or where another has that name, to one with the time `changed_ns` in it.

    Between two file systems, and on those without links, a kill in this moment may leave an empty file under the name.
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
                shutil.move(picture, name)
            except OSError:
                name.unlink()
                raise
            return
        picture.unlink()
        return


def _names(goal: Path, changed_ns: int) -> Iterator[Path]:
    yield goal
    time_of_it = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(changed_ns // 10**9))
    yield goal.with_name(f"{goal.stem}-{time_of_it}{goal.suffix}")
    number = 2
    while True:
        yield goal.with_name(f"{goal.stem}-{time_of_it}-{number}{goal.suffix}")
        number += 1
