"""The wall clock: told where somebody sets it. Ages and waits are kept on the monotonic clock, which nobody can set."""

import logging

log = logging.getLogger(__name__)
NOTABLE_S = 1.0
"""Time servers that keep a clock right move it by far less between two looks."""


class WallClock:
    """Notices when the wall clock is set. Look at it often."""

    def __init__(self, wall_s: float, steady_s: float) -> None:
        """Begin with both clocks as they are."""
        self._offset_s = wall_s - steady_s

    def look(self, wall_s: float, steady_s: float) -> float:
        """Return by how many seconds it was set since the last look, and say so in the log; 0 where it was not."""
        before_s, self._offset_s = self._offset_s, wall_s - steady_s
        set_by_s = self._offset_s - before_s
        if abs(set_by_s) < NOTABLE_S:
            return 0.0
        log.warning("clock was set by_s=%+.1f remedy=%r", set_by_s, "capture times jump with it; sort events by seq")
        return set_by_s
