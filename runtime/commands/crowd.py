"""The crowd: parts that stand before the cameras and are not judged yet, and whether they are too many."""

from runtime.cameras.triggering import MAX_WAITING

CROWD, CROWD_S = 16, 1.0
"""So many of them, for so long: more come than can be judged. Brokers hand over 20 messages and wait then; what comes
late would not tell when its part stood there."""


class Crowd:
    """When which part stands before its camera. Whoever holds it locks it."""

    def __init__(self) -> None:
        self._due: dict[bytes, float] = {}
        self._crowded_s: float | None = None
        self._is_overrun = False

    def add(self, cause: bytes, target_s: float) -> None:
        """A part stands before its camera at `target_s`, of the monotonic clock."""
        self._due[cause] = target_s

    def remove(self, cause: bytes) -> None:
        """It was judged, or never will be."""
        self._due.pop(cause, None)

    def is_overrun(self, now_s: float) -> bool:
        """Whether more parts are told of than can be judged: until all that were taken are through."""
        due = sum(target_s <= now_s for target_s in self._due.values())
        if due < CROWD:
            self._crowded_s = None
        elif self._crowded_s is None:
            self._crowded_s = now_s
        if due >= MAX_WAITING or (self._crowded_s is not None and now_s - self._crowded_s > CROWD_S):
            self._is_overrun = True
        elif due == 0:
            self._is_overrun = False
        return self._is_overrun
