"""The selection: which frames of a stream are worth training on, and why another is left out. Pure."""

from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from core.errors import DataError
from core.pictures.geometry import Roi
from core.pictures.picture import crop, pixel_digest
from runtime.cameras.exposure import exposure_fault
from runtime.cameras.settings import CameraSettings, LiveCameraSettings, VideoSettings
from runtime.parts.frame import Frame
from runtime.parts.verdict import Reason

THUMBNAIL = 64
STILL_LEVELS = 4
"""Where no field of the thumbnail has changed by more grey levels, the part has not: noise is averaged away in it."""
SIDE = 256
"""Pixels of the longer side at which sharpness is told: what is finer is mostly the sensor's noise."""
LEAST_SHARP = 0.4
"""Of the usual sharpness. Good pictures of five sets of parts have at least 0.41 of their median, those with a blur of
0.4 % of their width (Gaussian) or 2 % (motion) mostly less than 0.4."""


class Blemish(StrEnum):
    """Why a picture is left out that a model could judge."""

    DUPLICATE = "duplicate"
    """The same as one that was kept, to the last bit, or of a part that still stands before a free-running camera."""
    BLURRED = "blurred"


class Selection:
    """Of one stream. It belongs to the thread of its camera."""

    def __init__(self, settings: CameraSettings, roi: Roi | None) -> None:
        """Look at the region `roi` of the camera's frames."""
        self._exposure = settings.exposure
        self._roi = roi
        self._is_continuous = shows_a_part_again(settings)
        self._digest = ""
        """Of the frame that was looked at last."""
        self._kept: set[str] = set()
        """Digests of no others: a camera may film what is no use for days."""
        self._still: NDArray[np.int16] | None = None

    def look(self, frame: Frame) -> tuple[NDArray[np.uint8] | None, Reason | Blemish | None]:
        """Give the pixels (H, W, 3) or (H, W) of the region as judging would see them, and why they are no use."""
        if frame.pixels_bgr_u8 is None or frame.fault is not None:
            return None, frame.fault or Reason.NO_FRAME
        try:
            pixels = crop(frame.pixels_bgr_u8, self._roi)
        except DataError:
            return None, Reason.ROI_OUTSIDE
        return pixels, exposure_fault(pixels, self._exposure) or self._duplicate(pixels)

    def keep(self) -> None:
        """What was looked at last is kept: the same again is a duplicate."""
        self._kept.add(self._digest)

    def _duplicate(self, pixels: NDArray[np.uint8]) -> Blemish | None:
        self._digest = pixel_digest(pixels)
        still = cv2.resize(pixels, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA).astype(np.int16)
        is_still = self._is_continuous and self._still is not None and np.abs(still - self._still).max() <= STILL_LEVELS
        if self._digest in self._kept or is_still:
            return Blemish.DUPLICATE
        self._still = still
        return None


def sharpness(pixels: NDArray[np.uint8]) -> float:
    """Give how much detail a picture (H, W, 3) or (H, W) has: the variance of its Laplacian, at one size for all."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY) if pixels.ndim == 3 else pixels
    scale = SIDE / max(grey.shape)
    if scale < 1:
        size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(grey, cv2.CV_32F).var())


def shows_a_part_again(settings: CameraSettings) -> bool:
    """Whether the next frame may show the same part: nothing says when a new one has come."""
    if isinstance(settings, LiveCameraSettings):
        return settings.trigger is None
    return isinstance(settings, VideoSettings)
