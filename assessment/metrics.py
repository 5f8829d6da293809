"""Metrics: what scores say of labelled parts, over all thresholds and at the calibrated one, with their confidence."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assessment.confidence import auroc_interval
from core.calibration import Calibration
from core.confidence import wilson
from core.datasets.layout import GOOD
from core.errors import DataError
from core.placements import placements
from core.thresholds import scores

WHAT_IF_RATES = (0.01, 0.02, 0.05, 0.1, 0.2)
LARGEST_RATE = 0.5
"""Beyond it nobody would run a line."""
NO_DEFECTIVE = (
    "No defective pictures here, so nobody can say what is missed: all count as good, as in any plain folder. Put "
    f"pictures of bad parts into test/<kind of defect>, next to test/{GOOD}."
)
"""For whoever has no bad part at hand, or has given a folder of bad parts alone."""


def image_metrics(ranking: NDArray[np.floating], defective: NDArray[np.bool_]) -> dict[str, float | None]:
    """AUROC and best balanced accuracy over all thresholds, and the rates at the calibrated one (score 1).

    A rate is None where its kind of part is absent.
    """
    rejected = ranking > 1
    false_rejects = float(rejected[~defective].mean()) if (~defective).any() else None
    misses = float((~rejected[defective]).mean()) if defective.any() else None
    auroc = best = balanced = None
    if false_rejects is not None and misses is not None:
        auroc = placements(ranking, defective).auroc
        thresholds = np.concatenate([[-np.inf], np.unique(ranking)])
        found, passed = (shares_above(each, thresholds) for each in (ranking[defective], ranking[~defective]))
        best = float((found + 1 - passed).max() / 2)
        balanced = 1 - (false_rejects + misses) / 2
    return {
        "auroc": auroc,
        "max_balanced_accuracy": best,
        "balanced_accuracy": balanced,
        "false_reject_rate": false_rejects,
        "miss_rate": misses,
    }


def shares_above(ranking: NDArray[np.floating], thresholds: NDArray[np.floating]) -> NDArray[np.float64]:
    """Give the share of scores (N,) above each of the thresholds (T,)."""
    above = len(ranking) - np.searchsorted(np.sort(ranking), thresholds, "right")
    return np.asarray(above / len(ranking), np.float64)


def intervals(ranking: NDArray[np.floating], defective: NDArray[np.bool_]) -> dict[str, tuple[float, float]]:
    """95 % confidence intervals of what `image_metrics` gives: Wilson's of the rates, DeLong's of the AUROC."""
    rejected, found = ranking > 1, {}
    if defective.any() and not defective.all():
        found["auroc"] = auroc_interval(placements(ranking, defective))
    if not defective.all():
        found["false_reject_rate"] = wilson(int(rejected[~defective].sum()), int((~defective).sum()))
    if defective.any():
        found["miss_rate"] = wilson(int((~rejected[defective]).sum()), int(defective.sum()))
    return found


def by_kind(ranking: NDArray[np.floating], kinds: Sequence[str]) -> list[dict[str, Any]]:
    """For each kind of part, good ones first: how many, how many were rejected, and how well it is told from good."""
    names = np.array(kinds)
    rows = []
    for kind in sorted(set(kinds), key=lambda kind: (kind != GOOD, kind)):
        members = names == kind
        rejected = int((ranking[members] > 1).sum())
        both = members | (names == GOOD)
        told = kind != GOOD and (names == GOOD).any()
        rows.append(
            {
                "kind": kind,
                "pictures": int(members.sum()),
                "rejected": rejected,
                "rejected_interval": wilson(rejected, int(members.sum())),
                "auroc": placements(ranking[both], members[both]).auroc if told else None,
                "median_score": float(np.median(ranking[members])),
            }
        )
    return rows


def what_if(
    calibration: Calibration,
    errors: NDArray[np.floating],
    defective: NDArray[np.bool_],
    believe_all: bool = False,
) -> list[dict[str, Any]]:
    """For each of WHAT_IF_RATES: what `set-threshold` with that rate would give on these pictures.

    errors (N, K + 1). Where the calibration has too few parts for a rate, `why_not` says so.
    """
    rows: list[dict[str, Any]] = []
    for rate in WHAT_IF_RATES:
        try:
            rejected = scores(errors, calibration.thresholds(rate, believe_all)) > 1
        except DataError as error:
            rows.append({"false_reject_asked": rate, "why_not": str(error)})
            continue
        rows.append(
            {
                "false_reject_asked": rate,
                "false_rejects": int(rejected[~defective].sum()),
                "good": int((~defective).sum()),
                "misses": int((~rejected[defective]).sum()),
                "defective": int(defective.sum()),
            }
        )
    return rows


def rate_that_finds_all(calibration: Calibration, errors: NDArray[np.floating], believe_all: bool) -> float | None:
    """Give the smallest false-reject rate for which thresholds reject all of these parts, to a thousandth.

    errors (N, K + 1), of known bad parts. None where LARGEST_RATE does not.
    """

    def finds_all(rate: float) -> bool:
        return bool((scores(errors, calibration.thresholds(rate, believe_all)) > 1).all())

    # Thresholds fall as the rate rises, so that bisection finds where the last part is found.
    low, high = math.ceil(1000 / (len(calibration.names) + 1)), round(1000 * LARGEST_RATE)
    if not finds_all(high / 1000):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if finds_all(middle / 1000) else (middle + 1, high)
    return high / 1000
