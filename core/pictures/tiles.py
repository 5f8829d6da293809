"""Tiles: what the K + 1 errors of a part are called, and where the tiles lie, row by row, in any picture of it."""

import numpy as np
from numpy.typing import NDArray

from core.thresholds import Thresholds

GRID_BGR, FAILED_BGR = (200, 200, 200), (40, 40, 255)


def output_names(errors: int) -> list[str]:
    """Name the K + 1 errors: `image`, then `tile row,column` from 1."""
    grid = round((errors - 1) ** 0.5)
    return ["image", *(f"tile {row},{column}" for row in range(1, grid + 1) for column in range(1, grid + 1))]


def corners(k: int, grid: int, height: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Give the top left corner of tile `k`, and the one beyond its bottom right, as (y, x), in pixels of a picture."""
    row, column = divmod(k, grid)
    return (row * height // grid, column * width // grid), ((row + 1) * height // grid, (column + 1) * width // grid)


def over_thresholds(error_map: NDArray[np.floating], thresholds: Thresholds, grid: int) -> NDArray[np.float32]:
    """Divide an error map (h, w) by the thresholds of the tiles that its places lie in; returns (h, w)."""
    share = np.array(error_map, np.float32)
    for k, threshold in enumerate(thresholds.values[1:]):
        (top, left), (bottom, right) = corners(k, grid, *share.shape)
        share[top:bottom, left:right] /= threshold
    return share
