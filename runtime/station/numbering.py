"""Numbering: gives each camera's parts their numbers, `seq`, without holes.

Whoever takes numbers holds it until the events that carry them are on disk, so that they are stored in their order.
"""

import itertools
import threading
from collections import defaultdict
from collections.abc import Iterator
from types import TracebackType


class Numbering:
    """A lock, and numbers for whoever holds it."""

    def __init__(self) -> None:
        self._held = threading.RLock()
        self._next = defaultdict[str, Iterator[int]](lambda: itertools.count(1))

    def __enter__(self) -> None:
        """Hold it."""
        self._held.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let it go."""
        self._held.release()

    def next(self, camera: str) -> int:
        """Give the number of the next part of `camera`, from 1."""
        return next(self._next[camera])
