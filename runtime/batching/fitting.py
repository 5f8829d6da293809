"""Fitting: how a camera's frame gets into a row of a batch. Here by the CPU; a backend may know of another way."""

from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from core.pictures.geometry import Pose, Roi
from core.pictures.picture import fit
from runtime.parts.layout import Layout, to_bgr
from runtime.parts.part import Picture


class Fit(Protocol):
    """May be called on any thread, on several at once."""

    def __call__(
        self,
        pixels_u8: NDArray[np.uint8],
        layout: Layout,
        row: NDArray[np.uint8],
        roi: Roi | None = None,
        pose: Pose | None = None,
    ) -> Picture:
        """Fit a frame (H, W, 3) or (H, W) of this `layout` into `row` (h, w, 3) in BGR, as core.pictures.picture.fit.

        Raises DataError and PartNotFoundError as that does.
        """


def fit_on_cpu(
    pixels_u8: NDArray[np.uint8],
    layout: Layout,
    row: NDArray[np.uint8],
    roi: Roi | None = None,
    pose: Pose | None = None,
) -> Picture:
    """See Fit. Only what is judged gets its colours; where three channels have another order, only the row."""
    if layout == "RGB" and pose is None:
        region = fit(pixels_u8, row, roi)
        cv2.cvtColor(row, cv2.COLOR_RGB2BGR, dst=row)
        return lambda: to_bgr(region, layout)
    judged = fit(to_bgr(pixels_u8, layout, roi), row, None, pose)
    return lambda: judged
