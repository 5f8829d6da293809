"""Seldom: of what comes again and again the log is told now and then. What sends one such thing sends thousands."""

import math
import time
from collections.abc import Callable

EVERY_S = 60.0
MOST = 1000
"""Things that are remembered; they may be called by strangers' names."""


class Seldom:
    """Says of each thing whether it is to be told: once a minute. It belongs to one thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing was told yet; `clock` is monotonic."""
        self._clock = clock
        self._told_s: dict[str, float] = {}

    def is_due(self, what: str, every_s: float = EVERY_S) -> bool:
        """Whether `what` is to be told now, which counts as told then."""
        now_s = self._clock()
        if now_s - self._told_s.get(what, -math.inf) < every_s:
            return False
        if len(self._told_s) >= MOST:
            self._told_s.clear()
        self._told_s[what] = now_s
        return True
