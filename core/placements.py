"""Placements: how well scores tell defective parts from good ones, over all thresholds."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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


def _share_below(ordered: NDArray[np.floating], values: NDArray[np.floating]) -> NDArray[np.float64]:
    left, right = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    return np.asarray((left + right) / (2 * len(ordered)), np.float64)
