"""A part's picture: a judged part as the model saw it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.thresholds import Thresholds
from runtime.parts.verdict import Judgement


@dataclass(frozen=True)
class PartPicture:
    """One judged part with its pixels, which are its own."""

    event_id: str
    camera: str
    captured_at_s: float
    """Unix time."""
    frame_bgr_u8: NDArray[np.uint8]
    """(H, W, 3), as the model saw it."""
    error_map: NDArray[np.float32] | None
    """(h, w), at the map's own resolution; None where the engine failed."""
    judgement: Judgement
    thresholds: Thresholds
    grid: int
