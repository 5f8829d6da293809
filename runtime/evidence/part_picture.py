"""A part's picture: a judged part as the camera saw it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.thresholds import Thresholds
from runtime.parts.job import NO_JOB, Job
from runtime.parts.part import Part
from runtime.parts.verdict import Judgement


@dataclass(frozen=True)
class PartPicture:
    """One judged part with what was seen of it."""

    event_id: str
    part: Part
    """Its pixels are worked out by whoever shows them, not by who judges."""
    error_map: NDArray[np.float32] | None
    """(h, w), at the map's own resolution; None where there is none."""
    judgement: Judgement
    thresholds: Thresholds
    grid: int
    job: Job = NO_JOB
    """What it was made for."""
