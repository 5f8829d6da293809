"""A part's picture: a judged part as the camera saw it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.thresholds import Thresholds
from runtime.parts.verdict import Judgement


@dataclass(frozen=True)
class PartPicture:
    """One judged part with its pixels."""

    event_id: str
    camera: str
    captured_at_s: float
    """Unix time."""
    pixels_bgr_u8: NDArray[np.uint8] | None
    """(H, W, 3), or grey (H, W): what was judged, at the camera's own size; None where there was none."""
    error_map: NDArray[np.float32] | None
    """(h, w), at the map's own resolution; None where there is none."""
    judgement: Judgement
    thresholds: Thresholds
    grid: int
    part_id: str | None = None
    job_id: str | None = None
    file: str | None = None
    """Its name, where the picture came from a file."""
