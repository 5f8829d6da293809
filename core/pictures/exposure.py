"""Exposure: whether a picture shows anything that could be judged, for training and the line alike. Pure."""

import numpy as np
from numpy.typing import NDArray

BLACK_LEVEL, WHITE_LEVEL, SHARE = 8, 250, 0.98
"""What is usual: a camera may have an `exposure` of its own."""


def is_black(frame_u8: NDArray[np.uint8], level: int = BLACK_LEVEL, share: float = SHARE) -> bool:
    """Say whether that share of the values is at or below `level`: a dead lamp, a closed lens cap."""
    return bool(np.count_nonzero(frame_u8 <= level) >= share * frame_u8.size)


def is_overexposed(frame_u8: NDArray[np.uint8], level: int = WHITE_LEVEL, share: float = SHARE) -> bool:
    """Say whether that share of the values is at or above `level`: a flood of light."""
    return bool(np.count_nonzero(frame_u8 >= level) >= share * frame_u8.size)
