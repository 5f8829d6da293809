"""A capture that gives a few frames and is gone, or never returns."""

import threading
import time
from typing import Any

import numpy as np


class Flapping:
    """A capture that dies after a few frames, or blocks in a read like a bad driver."""

    def __init__(self, frames: int, forever: threading.Event | None = None) -> None:
        self._left, self._forever = frames, forever

    def grab(self) -> bool:
        time.sleep(0.001)
        if self._left == 0 and self._forever is not None:
            self._forever.wait()
        self._left -= 1
        return self._left >= 0

    def retrieve(self) -> tuple[bool, Any]:
        return True, np.random.default_rng().integers(0, 255, (8, 8, 3), np.uint8)

    def release(self) -> None:
        pass
