"""Thresholds and the verdict rule (Eq. 21-23): set from good parts alone, for a stated false-reject rate per part."""

import hashlib
import math
from functools import lru_cache
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from core.errors import DataError

LEAST_PARTS = 3
"""Of fewer no deviation can be told."""
LEAST_RATE = 1e-15
"""A lower false-reject rate counts as this: no number of parts could promise it."""
LEAST_ERROR = 1e-12
"""A smaller error counts as this, so that it has a logarithm."""
LEAST_SPREAD = 0.01
"""Log errors are taken to spread at least this much: what differs by a hundredth does not differ."""
COMMON_PARTS = 10
"""The weight, in parts, of the spread that all outputs have in common."""
GROUPS = 20
"""Each part is held against the parts of the other groups; up to this many parts, against all others."""
FENCE = 1.5
"""Tukey's fence: a part that stands this many interquartile ranges above the upper quartile is odd."""

LARGEST_ERROR = 1e6
"""A usual good part's errors are 1 or less: a threshold beyond this rejects nothing."""
LARGEST_LOOSENING = 10.0
"""Thresholds set on site, and a camera's factor, may be so many times the bundle's: beyond, they would be for show."""

Positive = Annotated[float, Field(gt=0)]
Rate = Annotated[float, Field(ge=0, le=1)]


class Thresholds(BaseModel):
    """eps_0 (whole image) and eps_1..eps_K (tiles, row-major), and what they promise."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    values: Annotated[tuple[Annotated[float, Field(gt=0, le=LARGEST_ERROR)], ...], Field(min_length=2)]
    spreads: tuple[Positive, ...] = ()
    """How much the logarithm of each error spreads over good parts; empty: all alike."""
    false_reject_rate: Annotated[float, Field(gt=0, lt=1)]
    """The share of good parts that may be rejected, as asked."""
    false_reject_expected: Rate
    """The rate that the chosen order statistic gives on average over calibration sets of this size, of parts like
    those that were believed."""
    false_reject_upper: Rate
    """With 95 % confidence the rate of this calibration is below this (Beta distribution of the order statistic)."""
    parts: Annotated[int, Field(ge=1)]
    """How many good parts were believed."""
    odd: Annotated[int, Field(ge=0)] = 0
    """How many more stood so far apart from them that they were left out. Should they be good after all, they are
    rejected too."""

    @model_validator(mode="after")
    def _has_a_spread_for_each(self) -> Self:
        if len(self.spreads) not in (0, len(self.values)):
            raise ValueError("`spreads` has to be empty, or one for each of `values`")
        return self

    @property
    def id(self) -> str:
        """Short digest of the values, carried by every event."""
        return _digest(self.values)

    @property
    def believes_all(self) -> bool:
        """Whether no good part was left out: all were to be believed, or none stands apart, which comes to the same."""
        return not self.odd

    @property
    def false_reject_with_odd(self) -> float:
        """The rate, at most about, should those left out be good: as large a share of good parts is like them then."""
        return (self.odd + self.false_reject_expected * self.parts) / (self.odd + self.parts)

    @property
    def false_reject_upper_with_odd(self) -> float:
        """With 95 % confidence the rate is below this, whether those left out be good or not.

        Of all parts as many stand below the thresholds then as do of those believed. Where parts were filmed several
        times this is of so many pictures, and too low.
        """
        if not self.odd:
            return self.false_reject_upper
        rank = math.floor((1 - self.false_reject_expected) * (self.parts + 1) + 1e-9)
        return max(self.false_reject_upper, _rate_upper_bound(self.parts + self.odd, rank))

    def scaled(self, factor: float) -> "Thresholds":
        """Multiply every threshold by `factor`; the id follows the values."""
        return self.model_copy(update={"values": tuple(value * factor for value in self.values)})


@lru_cache(64)
def _digest(values: tuple[float, ...]) -> str:
    return hashlib.sha256(np.asarray(values, np.float64).tobytes()).hexdigest()[:12]


def parts_needed(false_reject_rate: float) -> int:
    """Say how many good parts it takes to promise a false-reject rate."""
    return max(LEAST_PARTS, math.ceil(1 / max(false_reject_rate, LEAST_RATE) - 1 - 1e-9))


def calibrate(
    errors: NDArray[np.floating],
    false_reject_rate: float,
    doubted: NDArray[np.bool_] | None = None,
    believe_all: bool = False,
    bursts: NDArray[np.int64] | None = None,
) -> Thresholds:
    """Set thresholds from the errors (M, K + 1) of M good parts, each judged by a model that has not trained on it.

    A part is rejected when any of its K + 1 errors is above its threshold, so the rate is promised for the maximum:
    eps_k = exp(m_k + q s_k), with m_k the median and s_k the spread of the logarithm of output k, and q the
    (M + 1)(1 - rate)-th smallest of the parts' `standing` (split conformal prediction; between two of them by linear
    interpolation, Beran and Hall 1993, where rounding up would cost few parts dearly). Parts beyond Tukey's fence are
    left out first, unless `believe_all`. `bursts` (M,) numbers the parts that were really filmed; where several lines
    are of one, what is expected and its bound are those of so many parts. Raises DataError where M is too small to
    promise the rate, or an error is not a finite number of at least 0.
    """
    if not 0 < false_reject_rate < 1:
        raise DataError(f"a false-reject rate of {false_reject_rate} is not between 0 and 1.")
    _require_enough(len(errors), false_reject_rate)
    if not np.isfinite(errors).all() or (errors < 0).any():
        raise DataError("the model gives errors that are not finite numbers on good parts; train it again.")
    odd = np.zeros(len(errors), bool) if believe_all else odd_parts(errors, doubted)
    believed = errors[~odd]
    parts = len(believed)
    # Where the fence leaves fewer than the rate needs, the largest of them is the threshold, and the rate says so.
    rank = min(float(parts), (parts + 1) * (1 - false_reject_rate))
    limit = np.interp(rank, np.arange(1, parts + 1), np.sort(standing(believed)))
    median, spread = median_and_spread(log_errors(believed))
    filmed = parts if bursts is None else len(np.unique(bursts[~odd]))
    with np.errstate(over="ignore"):
        values = np.exp(median + limit * spread)
    if not ((values > 0) & (values <= LARGEST_ERROR)).all():  # nor is what is no number
        raise DataError(
            "the good parts differ too much from each other for any threshold; look at the pictures, and add more."
        )
    return Thresholds(
        values=tuple(values.tolist()),
        spreads=tuple(spread.tolist()),
        false_reject_rate=false_reject_rate,
        false_reject_expected=1 - rank * filmed / parts / (filmed + 1),
        false_reject_upper=_rate_upper_bound(filmed, math.floor(rank * filmed / parts + 1e-9)),
        parts=parts,
        odd=int(odd.sum()),
    )


def standing(errors: NDArray[np.floating]) -> NDArray[np.float64]:
    """How far each good part (M, K + 1) stands above the others: max_k (log e_k - m_k) / s_k, (M,).

    Median and spread are those of the parts in other groups, as a fresh part is held against parts not its own.
    Pictures of one part are held against each other, which docs/tried.md weighs.
    """
    logs = log_errors(errors)
    group = np.arange(len(logs)) % GROUPS
    stands = np.empty(len(logs))
    for members in (group == number for number in np.unique(group)):
        median, spread = median_and_spread(logs[~members])
        stands[members] = ((logs[members] - median) / spread).max(axis=1)
    return stands


def odd_parts(errors: NDArray[np.floating], doubted: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
    """Which of the good parts (M, K + 1) stand beyond Tukey's fence above the others, (M,); those `doubted` (M,) do.

    Again without those, until none does: the worst of several odd parts hides the others.
    """
    believed = np.arange(len(errors)) if doubted is None else np.flatnonzero(~doubted)
    while len(believed) > LEAST_PARTS:
        stands = standing(errors[believed])
        lower, upper = np.percentile(stands, [25, 75])
        within = stands <= upper + FENCE * (upper - lower)
        if within.all() or within.sum() < LEAST_PARTS:
            break
        believed = believed[within]
    odd = np.ones(len(errors), bool)
    odd[believed] = False
    return odd


def ratios(errors: NDArray[np.floating], thresholds: Thresholds) -> NDArray[np.float64]:
    """Divide errors (N, K + 1) by their thresholds: above 1 fails. Never clamped."""
    return np.asarray(errors, np.float64) / np.asarray(thresholds.values, np.float64)


def differences(
    errors: NDArray[np.floating], expected: NDArray[np.floating], thresholds: Thresholds
) -> NDArray[np.float64]:
    """Say how far errors (N, K + 1) are from those that were expected: as shares of their thresholds.

    Far above its threshold an error may move by more: there it is a share of what was expected.
    """
    answers = ratios(expected, thresholds)
    return np.abs(ratios(errors, thresholds) - answers) / np.maximum(answers, 1)


def scores(errors: NDArray[np.floating], thresholds: Thresholds) -> NDArray[np.float64]:
    """Give the verdict's own statistic (N,), by which parts are ranked; above 1 the part is anomalous.

    The largest e / eps of each part, each to the power of the usual spread over its own: an error that hardly differs
    between good parts says more by the same ratio. It is exp(c max_k (log e_k - log eps_k) / s_k).
    """
    spreads = np.asarray(thresholds.spreads or np.ones(len(thresholds.values)))
    powers = np.exp(np.log(spreads).mean()) / spreads
    return np.asarray((np.maximum(ratios(errors, thresholds), LEAST_ERROR) ** powers).max(axis=1))


def _require_enough(parts: int, false_reject_rate: float) -> None:
    needed = parts_needed(false_reject_rate)
    if parts < needed:
        asked = (
            f"{parts} good parts cannot promise a false-reject rate of {false_reject_rate:g}: give at least {needed}"
        )
        higher = f", or ask for a rate of {math.ceil(100 / (parts + 1)) / 100:.2f}" if parts >= LEAST_PARTS else ""
        raise DataError(f"{asked}{higher}.")


def log_errors(errors: NDArray[np.floating]) -> NDArray[np.float64]:
    """Logarithms of errors (M, K + 1); one of 0 counts as LEAST_ERROR."""
    return np.log(np.maximum(errors.astype(np.float64), LEAST_ERROR))


def median_and_spread(logs: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Median and spread of each column of log errors (M, K + 1).

    The spread is the median deviation from the median, which a few odd parts do not move, scaled to be the standard
    deviation of a normal distribution. Of few parts it is uncertain, so it is drawn towards the geometric mean over the
    columns, as if COMMON_PARTS more parts had shown that.
    """
    parts = len(logs)
    median = np.median(logs, axis=0)
    own = np.log(np.maximum(1.4826 * np.median(np.abs(logs - median), axis=0), LEAST_SPREAD))
    return median, np.exp((parts * own + COMMON_PARTS * own.mean()) / (parts + COMMON_PARTS))


def _rate_upper_bound(parts: int, rank: int) -> float:
    """Bound the true rate: P(rate <= p) = P(Binomial(parts, 1 - p) < rank), solved for 95 % by bisection."""
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, parts + 1)))])
    below = np.arange(rank)
    choices = factorials[parts] - factorials[below] - factorials[parts - below]
    low, high = 0.0, 1.0
    for _ in range(50):  # with more the rate would become 1 itself, which has no logarithm of the rest
        rate = (low + high) / 2
        covered = np.exp(choices + below * np.log1p(-rate) + (parts - below) * np.log(rate)).sum()
        low, high = (rate, high) if covered < 0.95 else (low, rate)
    return high
