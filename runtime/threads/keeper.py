"""Keepers: workers that put on disk what the judging thread hands over, which waits for none of them."""

import queue
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from runtime.threads.worker import Worker

Item = TypeVar("Item")


class Keeper(Worker, Generic[Item]):
    """Works until `stop`; what it cannot keep up with, or what its disk does not take, is dropped and counted."""

    def __init__(self, name: str, work: Callable[[], object], most: int) -> None:
        """Let `most` items wait."""
        super().__init__(name, work)
        self.dropped = 0
        """Parts given up because the disk was too slow, or failing."""
        self.problem = ""
        """Why nothing can be written at the moment; empty where all is well."""
        self._waiting: queue.Queue[Item | None] = queue.Queue(most)
        """None: nothing comes behind it."""

    def stop(self, grace_s: float) -> None:
        """Write what waits within `grace_s`, and end."""
        until_s = time.monotonic() + grace_s
        try:
            self._waiting.put(None, timeout=grace_s)
        except queue.Full:
            return
        self.join(max(0.0, until_s - time.monotonic()))
