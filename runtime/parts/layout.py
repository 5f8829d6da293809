"""Layouts: what the pixels are that a camera gives, and how they become BGR. Pure."""

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from core.pictures.geometry import Roi
from core.pictures.picture import crop

Layout = Literal["BGR", "RGB", "RG", "GR", "GB", "BG"]
"""BGR, or grey of one channel; RGB; else a colour mosaic of one channel, by its first two colours: of `RG` the pixel at
the top left is red, and its neighbours are green."""
CONVERSIONS: dict[Layout, int] = {
    "RGB": cv2.COLOR_RGB2BGR,
    "RG": cv2.COLOR_BayerRGGB2BGR,
    "GR": cv2.COLOR_BayerGRBG2BGR,
    "GB": cv2.COLOR_BayerGBRG2BGR,
    "BG": cv2.COLOR_BayerBGGR2BGR,
}
AROUND = 2
"""Pixels around a region of a mosaic that the colours at its edge are worked out from."""


def to_bgr(pixels_u8: NDArray[np.uint8], layout: Layout, roi: Roi | None = None) -> NDArray[np.uint8]:
    """Give a frame's pixels, or those of its region `roi`, as (H, W, 3) in BGR; grey stays (H, W).

    A mosaic's colours are worked out for the region alone. Raises DataError where it does not lie within the frame.
    """
    region = crop(pixels_u8, roi)
    if layout == "BGR":
        return region
    if layout == "RGB" or roi is None:
        return np.asarray(cv2.cvtColor(region, CONVERSIONS[layout]), np.uint8)
    left, top, width, height = roi
    # From an even place on, the mosaic begins with the same colours.
    first_x, first_y = (max(0, start - AROUND) & ~1 for start in (left, top))
    around = pixels_u8[first_y : top + height + AROUND, first_x : left + width + AROUND]
    colours = np.asarray(cv2.cvtColor(around, CONVERSIONS[layout]), np.uint8)
    return crop(colours, (left - first_x, top - first_y, width, height))
