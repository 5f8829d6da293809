"""Back-off: how long to wait before a broker, a camera or an engine is tried again, for ever."""

import random

STABLE_AFTER_S = 5.0
"""A connection that lasted this long starts the back-off again when it is lost."""
FIRST_S = 0.25
"""The shortest wait after the first try that failed."""
LONGEST_S = 30.0
"""Between two tries, however many have failed."""


class BackOff:
    """Counts tries in a row that failed. It belongs to one thread."""

    def __init__(self, longest_s: float = LONGEST_S) -> None:
        """Give waits of at most `longest_s`."""
        self._failed = 0
        self._longest_s = longest_s

    def failed(self) -> float:
        """Count a try that failed; returns the seconds to wait before the next."""
        self._failed += 1
        return backoff_s(self._failed, random.random(), self._longest_s)

    def succeeded(self) -> None:
        """Forget what failed before: the next fault begins with short waits again."""
        self._failed = 0


def backoff_s(attempt: int, chance: float, longest_s: float = LONGEST_S) -> float:
    """Seconds to wait before the next try: doubling, with jitter by `chance` in [0, 1), never above `longest_s`."""
    return float(min(longest_s, FIRST_S * 2 ** min(attempt, 16)) * (0.5 + chance / 2))
