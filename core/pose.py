"""The pose of a part that may lie at any angle: where it is in the picture, and how it is cut out lying straight.

For parts longer than broad, with one end heavier than the other, alone on a background of one brightness: screws,
bolts, nails.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from core.errors import PartNotFoundError
from core.geometry import PartSize

SEARCHED_PIXELS = 512
"""The part is looked for in a picture of at most this many pixels a side; it is cut out of the whole one."""
LEAST_CONTRAST = 16
"""Grey levels by which a part must differ from its background."""
LEAST_SHARE = 0.1
"""Share of the cut-out's area that a part must fill: what is smaller is dirt."""


def locate(frame_bgr_u8: NDArray[np.uint8], part_size: PartSize) -> NDArray[np.float64]:
    """Find the part in a frame (H, W, 3): the (2, 3) matrix that takes a pixel of the cut-out to one of the frame.

    The part is the largest region that differs from the frame's border. Its principal axis becomes the cut-out's
    length, its heavier end comes left, the middle of its extent comes to the middle. Raises PartNotFoundError.
    """
    height, width = frame_bgr_u8.shape[:2]
    scale = min(1.0, SEARCHED_PIXELS / max(height, width))
    small = cv2.resize(frame_bgr_u8, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    grey = cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), (0, 0), 2)
    background = int(np.median(np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])))
    difference = cv2.absdiff(grey, np.full_like(grey, background))
    if int(difference.max()) < LEAST_CONTRAST:
        raise PartNotFoundError("no part found: the picture is of one brightness.")
    _, marked = cv2.threshold(difference, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(marked)
    largest = 1 + int(np.argmax(statistics[1:, cv2.CC_STAT_AREA]))
    if statistics[largest, cv2.CC_STAT_AREA] < LEAST_SHARE * part_size[0] * part_size[1] * scale**2:
        raise PartNotFoundError(f"no part found: nothing fills a tenth of {part_size[0]} x {part_size[1]} pixels.")
    rows, columns = np.nonzero(labels == largest)
    # A pixel of the smaller picture covers several of the frame: its middle is meant.
    points = (np.stack([columns, rows], axis=1) + 0.5) / scale - 0.5
    centre = points.mean(axis=0)
    axis = np.linalg.eigh(np.cov((points - centre).T))[1][:, 1]
    # The thin end reaches farther from the centre of mass than the heavy one.
    if (((points - centre) @ axis) ** 3).mean() < 0:
        axis = -axis
    across = np.array([-axis[1], axis[0]])
    turn = np.stack([axis, across], axis=1)
    extents = (points - centre) @ turn
    middle = centre + turn @ ((extents.min(axis=0) + extents.max(axis=0)) / 2)
    corner = middle - turn @ ((np.array(part_size) - 1) / 2)
    return np.column_stack([turn, corner])


def cut_out(picture: NDArray[np.uint8], place: NDArray[np.float64], part_size: PartSize) -> NDArray[np.uint8]:
    """Cut the part out of its picture, or of that picture's mask: (breadth, length, 3). `place` comes from `locate`."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    cut = cv2.warpAffine(picture, place, part_size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cut, np.uint8)
