"""A moment on both clocks: people are told the wall clock's time, ages and waits are kept on the one nobody can set."""

import time
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Moment:
    """One moment."""

    at_s: float
    """Unix time."""
    s: float
    """Monotonic clock."""

    @classmethod
    def now(cls) -> Self:
        """Give this moment."""
        return cls(time.time(), time.monotonic())
