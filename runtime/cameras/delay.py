"""Delay: which frames of a live stream were delayed on their way. Pure."""

DRAIN_S = 3.0
"""A backlog that is not through after this long is none: the stream's own clock has jumped, or is slow."""
CREEP = 1e-3
"""Seconds a second by which the stream's clock may be off ours."""
JUMP = 0.01
"""A clock that falls behind by less, in seconds a second, while a backlog is looked for, has jumped."""


class Backlog:
    """Tells frames that were delayed on their way from new ones, by the stream's own clock."""

    def __init__(self, limit_s: float) -> None:
        """A frame that comes more than `limit_s` later than the promptest is old."""
        self.is_lost = False
        """Whether the stream's clock did not go on when frames may have been delayed: nothing tells old from new."""
        self.creep = CREEP
        """Seconds a second by which the stream's clock falls behind: of one that counts frames at a rate which the
        camera does not keep, much more than usual, as it was found."""
        self._limit_s = limit_s
        self._least_s = float("inf")
        self._stream_s = float("-inf")
        self._now_s = 0.0
        self._since_s: float | None = None
        self._lag_s = 0.0
        """What it was then."""

    def is_old(self, stream_s: float, now_s: float) -> bool:
        """Say whether the frame taken at `stream_s` by the stream's clock was delayed before it came at `now_s`.

        0 is no time.
        """
        lag_s, silent_s = now_s - stream_s, now_s - self._now_s
        if stream_s == 0 and self._stream_s not in (0, float("-inf")):
            # A damaged frame, which tells no time: those behind it are measured by those before.
            self.is_lost = self._since_s is not None or silent_s > self._limit_s
            self._least_s, self._now_s = self._least_s + silent_s * self.creep, now_s
            return False
        if stream_s <= self._stream_s:  # it began again, or it is none: some drivers tell no time
            self._least_s = lag_s
            self.is_lost = self._since_s is not None or silent_s > self._limit_s
        self._least_s = min(lag_s, self._least_s + silent_s * self.creep)
        self._stream_s, self._now_s = stream_s, now_s
        if lag_s - self._least_s <= self._limit_s:
            self._since_s = None
            return False
        if self._since_s is None:
            self._since_s, self._lag_s = now_s, lag_s
        if now_s - self._since_s > DRAIN_S:
            slope = (lag_s - self._lag_s) / (now_s - self._since_s)
            self.creep = max(self.creep, slope) if slope > JUMP else self.creep
            self._least_s, self._since_s = lag_s, None
        return True
