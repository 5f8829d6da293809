"""Thinning: which of a live camera's frames are judged, and whether it gives the same one again and again."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

SPARSE = 16
"""Of frames that are compared, every so many-th row: the whole of 5 megapixels takes 5 ms of a core."""


class Thinning:
    """Keeps to `judge_every` and `max_fps`, and counts frames that are alike. It belongs to the reader."""

    def __init__(self, judge_every: int, max_fps: float | None) -> None:
        """Want every `judge_every`-th frame, and no more than `max_fps` a second."""
        self._judge_every = judge_every
        self._max_fps = max_fps
        self._number = 0
        self._next_s = 0.0
        self._last: Sequence[NDArray[np.uint8]] = ()
        self._alike = 1

    def wants(self, now_s: float) -> bool:
        """Count a frame that was grabbed at `now_s` (monotonic clock), and say whether it is wanted."""
        self._number += 1
        if (self._number - 1) % self._judge_every or now_s < self._next_s:
            return False
        self._next_s = now_s + 1 / self._max_fps if self._max_fps else 0.0
        return True

    def alike(self, rows: Sequence[NDArray[np.uint8]]) -> int:
        """Give how many frames in a row were like this one to the last bit, itself included.

        `rows` are what it holds: an array of its pixels, or one of each plane.
        """
        same = len(self._last) == len(rows) and all(map(partial(look_alike, look=self._alike), self._last, rows))
        self._alike = self._alike + 1 if same else 1
        self._last = rows
        return self._alike


def look_alike(one: NDArray[np.uint8], other: NDArray[np.uint8], look: int) -> bool:
    """Compare every 16th row of two frames: other rows at each `look`, so that 16 looks in a row see all of them."""
    first = look % max(1, min(SPARSE, len(one)))
    return one.shape == other.shape and np.array_equal(one[first::SPARSE], other[first::SPARSE])
