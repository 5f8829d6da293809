"""The piece of a camera's frame that goes to the GPU, and what the kernel has to know of it. Pure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.pictures.geometry import Roi
from core.pictures.picture import crop
from runtime.parts.layout import AROUND, Layout

ARGUMENTS = "PP" + 12 * "i"
"""`struct Frame` of kernels/frames.cu, in the language of Python's struct."""
GREY = 0
NUMBERS: dict[Layout, int] = {"BGR": 1, "RGB": 2, "RG": 4, "GR": 5, "GB": 6, "BG": 7}
"""`enum Layout` of kernels/frames.cu."""


@dataclass(frozen=True)
class Piece:
    """A region of a frame; of a mosaic, with what is around it."""

    pixels: NDArray[np.uint8]
    """(h, w, 3) or (h, w), in the frame's memory."""
    layout: int
    corner: tuple[int, int]
    """Of the piece within the frame: left, top."""
    frame_size: tuple[int, int]
    """Width, height."""
    region: Roi

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the region."""
        return self.region[2:]

    def arguments(self, pixels: int, row: int, row_size: tuple[int, int]) -> tuple[int, ...]:
        """Give the kernel's arguments for pixels and a row (width, height) at these addresses."""
        width = self.pixels.shape[1]
        return (pixels, row, self.layout, *self.corner, width, *self.frame_size, *self.region, *row_size)


def piece_of(pixels_u8: NDArray[np.uint8], layout: Layout, roi: Roi | None) -> Piece:
    """Take from a frame (H, W, 3) or (H, W) what its region `roi` needs; None: all of it.

    Raises DataError where the region does not lie within the frame.
    """
    height, width = pixels_u8.shape[:2]
    region = roi or (0, 0, width, height)
    crop(pixels_u8, region)
    around = AROUND if layout not in ("BGR", "RGB") else 0
    left, top = (max(0, start - around) for start in region[:2])
    right = min(width, region[0] + region[2] + around)
    bottom = min(height, region[1] + region[3] + around)
    number = GREY if layout == "BGR" and pixels_u8.ndim == 2 else NUMBERS[layout]
    return Piece(pixels_u8[top:bottom, left:right], number, (left, top), (width, height), region)
