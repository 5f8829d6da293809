"""What thresholds are set from: the errors of good parts, kept beside the model, so that they can be set again."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.files import digest_of, told_apart
from core.thresholds import Thresholds, calibrate, odd_parts


@dataclass(frozen=True)
class Calibration:
    """Good parts, each judged by a decoder that has not seen it."""

    names: tuple[str, ...]
    """(M,) their files."""
    errors: NDArray[np.float64]
    """(M, K + 1)."""
    doubted: NDArray[np.bool_]
    """(M,) which stood apart at first look, so that no decoder trained on them."""
    bursts: NDArray[np.int64]
    """(M,) of which burst: what saw one picture of a part, or nearly so, judged none of its others."""
    members: NDArray[np.int64] | None = None
    """(M,) by which decoder each was judged; None in a bundle, and where a model of before does not say so."""
    digests: tuple[str, ...] = ()
    """(M,) sha256 of their files as they were when they trained, see `digest_of`; empty where a model of before does
    not say so."""

    @property
    def odd(self) -> NDArray[np.bool_]:
        """(M,) which stand apart from the others, and so set no threshold."""
        return odd_parts(self.errors, self.doubted)

    def left_out(self, thresholds: Thresholds) -> NDArray[np.bool_]:
        """(M,) which set none of these thresholds, which were set from these parts: none where all were believed."""
        return self.odd if thresholds.odd else np.zeros(len(self.names), bool)

    def rows_of(self, files: Sequence[Path]) -> NDArray[np.int64]:
        """Say which of these parts each of `files` shows (N,), by whatever name or as a copy; -1: none.

        Without `digests` that is known of files which lie where they lay, and of their copies: one that was filmed
        again under the same name is taken for the one that trained.
        """
        if self.digests:
            trained, asked = self.digests, [digest_of(file) for file in files]
        else:
            marks = told_apart([*map(Path, self.names), *files])
            trained, asked = tuple(marks[: len(self.names)]), marks[len(self.names) :]
        known = {mark: row for row, mark in enumerate(trained) if mark}
        return np.array([known.get(mark, -1) for mark in asked], np.int64)

    def thresholds(self, false_reject_rate: float, believe_all: bool = False) -> Thresholds:
        """Set thresholds. Raises DataError where the parts are too few to promise the rate."""
        return calibrate(self.errors, false_reject_rate, self.doubted, believe_all, self.bursts)


NO_CALIBRATION = Calibration((), np.zeros((0, 0)), np.zeros(0, bool), np.zeros(0, np.int64))
