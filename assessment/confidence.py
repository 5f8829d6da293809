"""Confidence of an AUROC: how far one that was measured on so many pictures may lie from the true one."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.confidence import Interval, Z


@dataclass(frozen=True)
class Placements:
    """Where each part stands among those of the other kind, which is all that AUROC and its variance need."""

    good: NDArray[np.float64]
    """(G,): the share of defective parts that score above a good one; equal scores count half."""
    defective: NDArray[np.float64]
    """(D,): the share of good parts that score below a defective one."""

    @property
    def auroc(self) -> float:
        """Area under the ROC curve, as the Mann-Whitney statistic."""
        return float(self.defective.mean())

    @property
    def variance(self) -> float:
        """Of the AUROC (DeLong et al. 1988); no number where one of the kinds has a single part."""
        if min(len(self.good), len(self.defective)) < 2:
            return math.nan
        return float(self.good.var(ddof=1) / len(self.good) + self.defective.var(ddof=1) / len(self.defective))


def placements(ranking: NDArray[np.floating], defective: NDArray[np.bool_]) -> Placements:
    """Place each part by its score (N,). Both kinds must be there."""
    good, bad = np.sort(ranking[~defective]), np.sort(ranking[defective])
    return Placements(1 - _share_below(bad, ranking[~defective]), _share_below(good, ranking[defective]))


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


def _share_below(ordered: NDArray[np.floating], values: NDArray[np.floating]) -> NDArray[np.float64]:
    left, right = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    return np.asarray((left + right) / (2 * len(ordered)), np.float64)


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
