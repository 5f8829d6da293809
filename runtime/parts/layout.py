"""Layouts: what the pixels are that a camera gives, and how they become BGR. Pure."""

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

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


def to_bgr(pixels_u8: NDArray[np.uint8], layout: Layout) -> NDArray[np.uint8]:
    """Give a frame's pixels as (H, W, 3) in BGR; grey stays (H, W)."""
    return pixels_u8 if layout == "BGR" else np.asarray(cv2.cvtColor(pixels_u8, CONVERSIONS[layout]), np.uint8)
