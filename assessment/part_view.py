"""How a part is shown to people: its own picture, and its error map, at the picture's own shape."""

import sys

import cv2
import numpy as np
from numpy.typing import NDArray

from core.datasets.dataset import Sample
from core.errors import DataError, about
from core.pictures.geometry import ModelInput
from core.pictures.picture import cut, read_picture
from core.pictures.tiles import FAILED_BGR, GRID_BGR, corners, over_thresholds
from core.thresholds import Thresholds, ratios

HOTTEST = 2.0
"""An error this many times its tile's threshold has the brightest colour."""


def read_view(sample: Sample, seen: ModelInput, longest_px: int) -> NDArray[np.uint8]:
    """Read a picture (H, W, 3) at its own shape, its longest side at most `longest_px`.

    It is the region that the model sees, or the part cut out of it, lying straight. One that is gone or damaged since
    it was judged is told on stderr, and grey: what was found out about it and the others stands.
    """
    here = seen.without_cut if sample.is_cut else seen
    try:
        picture = cut(read_picture(sample.path, seen.bits), here.roi, here.pose)
    except DataError as error:
        sys.stderr.write(f"not shown, since it can no longer be read: {about(sample.path, error)}\n")
        return np.full((seen.height, seen.width, 3), 128, np.uint8)
    scale = longest_px / max(picture.shape[:2])
    if scale >= 1:
        return picture
    size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def enlarged(shape: tuple[int, ...], longest_px: int) -> tuple[int, int]:
    """Give height and width at which a picture (H, W, ...) has its longest side of `longest_px`.

    A small picture is enlarged for its map, so that the frames of the tiles are fine.
    """
    scale = longest_px / max(shape[:2])
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def draw_error_map(
    error_map: NDArray[np.floating],
    errors: NDArray[np.floating],
    thresholds: Thresholds,
    grid: int,
    shape: tuple[int, int],
) -> NDArray[np.uint8]:
    """Draw an error map (h, w) at `shape` (height, width): the error over its tile's threshold, failed tiles in red.

    errors (K + 1,). Black is no error, white HOTTEST times the threshold. Returns (height, width, 3) uint8 in BGR.
    """
    failed = ratios(errors, thresholds)[1:] > 1
    share = over_thresholds(error_map, thresholds, grid)
    heat = cv2.resize(np.clip(share / HOTTEST, 0, 1), shape[::-1], interpolation=cv2.INTER_LINEAR)
    picture = np.asarray(cv2.applyColorMap((heat * 255).astype(np.uint8), cv2.COLORMAP_INFERNO), np.uint8)
    # Red frames last, so that no grey one lies over them.
    for k in np.argsort(failed, kind="stable"):
        (top, left), (bottom, right) = corners(int(k), grid, *shape)
        colour, line = (FAILED_BGR, 2) if failed[k] else (GRID_BGR, 1)
        cv2.rectangle(picture, (left, top), (right - 1, bottom - 1), colour, line)
    return picture
