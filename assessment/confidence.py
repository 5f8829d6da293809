"""Confidence of an AUROC: how far one that was measured on so many pictures may lie from the true one."""

import math

from core.confidence import Interval, Z
from core.placements import Placements


def auroc_interval(placed: Placements) -> Interval:
    """DeLong's interval on the logit scale; where the kinds do not overlap it has no width, and Newcombe's is given."""
    area, variance = placed.auroc, placed.variance
    if not variance > 0 or not 0 < area < 1:
        return _newcombe(area, len(placed.good), len(placed.defective))
    middle, half = math.log(area / (1 - area)), Z * math.sqrt(variance) / (area * (1 - area))
    # Beyond +-700 the exponential overflows.
    low, high = (max(-700.0, min(700.0, middle + step)) for step in (-half, half))
    return 1 / (1 + math.exp(-low)), 1 / (1 + math.exp(-high))


def difference_interval(one: Placements, other: Placements) -> Interval:
    """DeLong's interval of the difference in AUROC of two models on the same parts, in the same order."""
    paired = Placements(one.good - other.good, one.defective - other.defective)
    half = Z * math.sqrt(paired.variance)
    return paired.auroc - half, paired.auroc + half


def _newcombe(area: float, good: int, defective: int) -> Interval:
    """Those areas from which the measured one is not too far, by Hanley and McNeil's variance (Newcombe 2006)."""

    def is_near(true: float) -> bool:
        pairs = (good + defective) / 2 - 1
        spread = 1 + pairs * ((1 - true) / (2 - true) + true / (1 + true))
        return abs(area - true) <= Z * math.sqrt(true * (1 - true) * spread / (good * defective))

    ends = []
    for far in (0.0, 1.0):
        inside, outside = area, far
        for _ in range(50):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if is_near(middle) else (inside, middle)
        ends.append(inside)
    return ends[0], ends[1]
