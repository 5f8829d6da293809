"""Exposure: why a frame shows nothing that could be judged, by its camera's limits. Pure."""

import numpy as np
from numpy.typing import NDArray

from core.pictures.exposure import is_black, is_overexposed
from runtime.cameras.settings import ExposureSettings
from runtime.parts.verdict import Reason

USUAL = ExposureSettings()


def exposure_fault(frame_bgr_u8: NDArray[np.uint8], limits: ExposureSettings = USUAL) -> Reason | None:
    """Say whether a frame (H, W, 3) shows nothing to judge: a dead lamp, a closed lens cap, a flood of light."""
    if is_black(frame_bgr_u8, limits.black_level, limits.share):
        return Reason.BLACK
    if is_overexposed(frame_bgr_u8, limits.white_level, limits.share):
        return Reason.OVEREXPOSED
    return None
