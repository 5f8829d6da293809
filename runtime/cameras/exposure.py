"""Exposure: whether a frame shows anything that could be judged. Pure."""

import numpy as np
from numpy.typing import NDArray

from runtime.cameras.settings import ExposureSettings
from runtime.parts.verdict import Reason

USUAL = ExposureSettings()


def exposure_fault(frame_bgr_u8: NDArray[np.uint8], limits: ExposureSettings = USUAL) -> Reason | None:
    """Say whether a frame (H, W, 3) shows nothing to judge: a dead lamp, a closed lens cap, a flood of light."""
    enough = limits.share * frame_bgr_u8.size
    if np.count_nonzero(frame_bgr_u8 <= limits.black_level) >= enough:
        return Reason.BLACK
    if np.count_nonzero(frame_bgr_u8 >= limits.white_level) >= enough:
        return Reason.OVEREXPOSED
    return None
