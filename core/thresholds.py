"""Thresholds and the verdict rule (Eq. 21-23): set from good parts alone, for a stated false-reject rate per part."""

import hashlib
import math

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from core.errors import DataError

LEAST_PARTS = 3
"""Of fewer no deviation can be told."""
LEAST_ERROR = 1e-12
"""A smaller error counts as this, so that it has a logarithm."""
LEAST_SPREAD = 0.01
"""Log errors are taken to spread at least this much: what differs by a hundredth does not differ."""
COMMON_PARTS = 10
"""The weight, in parts, of the spread that all outputs have in common."""


class Thresholds(BaseModel):
    """eps_0 (whole image) and eps_1..eps_K (tiles, row-major), and what they promise."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    values: tuple[float, ...]
    false_reject_rate: float
    """The share of good parts that may be rejected, as asked."""
    false_reject_expected: float
    """The rate that the chosen order statistic gives on average over calibration sets of this size."""
    false_reject_upper: float
    """With 95 % confidence the rate of this calibration is below this (Beta distribution of the order statistic)."""
    parts: int
    """How many good parts the calibration saw."""

    @property
    def id(self) -> str:
        """Short digest of the values, carried by every event."""
        return hashlib.sha256(np.asarray(self.values, np.float64).tobytes()).hexdigest()[:12]

    def scaled(self, factor: float) -> "Thresholds":
        """Multiply every threshold by `factor`; the id follows the values."""
        return self.model_copy(update={"values": tuple(value * factor for value in self.values)})


def parts_needed(false_reject_rate: float) -> int:
    """Say how many good parts it takes to promise a false-reject rate."""
    return max(LEAST_PARTS, math.ceil(1 / false_reject_rate - 1 - 1e-9))


def calibrate(errors: NDArray[np.floating], false_reject_rate: float) -> Thresholds:
    """Set thresholds from the errors (M, K + 1) of M good parts that training never saw.

    A part is rejected when any of its K + 1 errors is above its threshold, so the rate is promised for the maximum:
    eps_k = exp(m_k + q s_k), with m_k the median and s_k the spread of the logarithm of output k, and q the
    ceil((M + 1)(1 - rate))-th smallest of the parts' max_k (log e_k - m_k) / s_k (split conformal prediction). There
    each part is held against median and spread of the others, as a fresh part will be. Raises DataError where M is too
    small to promise the rate, or an error is not a finite number of at least 0.
    """
    parts = len(errors)
    if not 0 < false_reject_rate < 1:
        raise DataError(f"a false-reject rate of {false_reject_rate} is no share between 0 and 1.")
    rank = math.ceil((parts + 1) * (1 - false_reject_rate) - 1e-9)
    needed = parts_needed(false_reject_rate)
    if parts < needed:
        raise DataError(
            f"{parts} good parts cannot promise a false-reject rate of {false_reject_rate:.1%}: "
            f"give at least {needed}, or ask for a higher rate."
        )
    if not np.isfinite(errors).all() or (errors < 0).any():
        raise DataError("the model gives errors that are not finite numbers on good parts; train it again.")
    logs = np.log(np.maximum(errors.astype(np.float64), LEAST_ERROR))
    largest = [_standardised(logs[part], np.delete(logs, part, axis=0)).max() for part in range(parts)]
    median, spread = _median_and_spread(logs)
    with np.errstate(over="ignore"):
        values = np.exp(median + np.sort(largest)[rank - 1] * spread)
    if not np.isfinite(values).all():
        raise DataError("the good parts differ from each other beyond all bounds; look at the pictures kept aside.")
    return Thresholds(
        values=tuple(values.tolist()),
        false_reject_rate=false_reject_rate,
        false_reject_expected=1 - rank / (parts + 1),
        false_reject_upper=_rate_upper_bound(parts, rank),
        parts=parts,
    )


def _standardised(logs: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """How many spreads the log errors (K + 1,) of a part lie above the median of the `others` (M - 1, K + 1)."""
    median, spread = _median_and_spread(others)
    return np.asarray((logs - median) / spread)


def _median_and_spread(logs: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Median and spread of each column of log errors (M, K + 1).

    The spread is the median deviation from the median, which a few odd parts do not move, scaled to be the standard
    deviation of a normal distribution. Of few parts it is uncertain, so it is drawn towards the geometric mean over the
    columns, as if COMMON_PARTS more parts had shown that.
    """
    parts = len(logs)
    median = np.median(logs, axis=0)
    own = np.log(np.maximum(1.4826 * np.median(np.abs(logs - median), axis=0), LEAST_SPREAD))
    return median, np.exp((parts * own + COMMON_PARTS * own.mean()) / (parts + COMMON_PARTS))


def ratios(errors: NDArray[np.floating], thresholds: Thresholds) -> NDArray[np.float64]:
    """Divide errors (N, K + 1) by their thresholds: above 1 fails. Never clamped."""
    return np.asarray(errors, np.float64) / np.asarray(thresholds.values, np.float64)


def scores(errors: NDArray[np.floating], thresholds: Thresholds) -> NDArray[np.float64]:
    """Ranking score (N,) for AUROC: the largest e / eps of each part. Above 1 the part is anomalous."""
    return np.asarray(ratios(errors, thresholds).max(axis=1))


def _rate_upper_bound(parts: int, rank: int, confidence: float = 0.95) -> float:
    """Bound the true rate: P(rate <= p) = P(Binomial(parts, 1 - p) < rank), solved for `confidence` by bisection."""
    low, high = 0.0, 1.0
    for _ in range(60):
        rate = (low + high) / 2
        covered = sum(math.comb(parts, i) * (1 - rate) ** i * rate ** (parts - i) for i in range(rank))
        low, high = (rate, high) if covered < confidence else (low, rate)
    return high
