"""Comparison: two models on the same labelled pictures, and where their verdicts differ."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assessment.confidence import auroc_interval, difference_interval
from assessment.decidable import decidable
from assessment.model import calibration_of, opened
from core.confidence import Interval
from core.datasets.dataset import Data, Sample, are_defective, labelled_samples
from core.datasets.frames import read_frames
from core.errors import ArtifactError, DataError
from core.pictures.geometry import ModelInput
from core.placements import placements
from core.thresholds import Thresholds, scores


@dataclass(frozen=True)
class Judged:
    """What one model says of N pictures."""

    input: ModelInput
    grid: int
    thresholds: Thresholds
    errors: NDArray[np.float32]
    """(N, K + 1)."""
    maps: NDArray[np.float32]
    """(N, h, w)."""

    @property
    def scores(self) -> NDArray[np.float64]:
        """(N,); above 1 is rejected."""
        return scores(self.errors, self.thresholds)


@dataclass(frozen=True)
class Comparison:
    """What two models say of the same N pictures."""

    samples: tuple[Sample, ...]
    models: tuple[Judged, Judged]
    known: tuple[int, int]
    """How many of the pictures each model has from its training, as far as it keeps their names."""

    def warnings(self, names: Sequence[str]) -> list[str]:
        """Say of each model, by `names`, where its figures flatter it."""
        return [
            f"{name} knows {known} of these {len(self.samples)} pictures from its training, and judges them better "
            "than others: compare on pictures that neither model has seen."
            for name, known in zip(names, self.known, strict=True)
            if known
        ]

    @property
    def scores(self) -> NDArray[np.float64]:
        """(2, N); above 1 is rejected."""
        return np.stack([model.scores for model in self.models])

    @property
    def defective(self) -> NDArray[np.bool_]:
        """Which pictures show a defective part (N,)."""
        return are_defective(self.samples)

    @property
    def differing(self) -> NDArray[np.int64]:
        """The pictures of which the verdicts differ, in the order of the data."""
        rejected = self.scores > 1
        return np.flatnonzero(rejected[0] != rejected[1])


def compare(models: tuple[Path, Path], data: Data) -> Comparison:
    """Judge the labelled pictures of `data` with two models. Raises ArtifactError, BackendError or DataError."""
    samples = labelled_samples(data)
    found = [_judge(path, samples) for path in models]
    # One model may find no part where the other does.
    both = tuple(sample for sample in samples if all(sample in rows for rows, _judged in found))
    if not both:
        raise DataError(f"{' and '.join(map(str, models))}: none of {len(samples)} pictures can be judged by both.")
    chosen = [([rows[sample] for sample in both], judged) for rows, judged in found]
    one, other = (replace(judged, errors=judged.errors[at], maps=judged.maps[at]) for at, judged in chosen)
    first, second = (_known(path, both) for path in models)
    return Comparison(both, (one, other), (first, second))


def figure_rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """Give both models' figures by name, and their difference; what the pictures do not allow is left out."""
    defective, ranking = comparison.defective, comparison.scores
    good, bad = int((~defective).sum()), int(defective.sum())
    rows = list[tuple[str, ...]]()
    if good and bad:
        placed = [placements(of_model, defective) for of_model in ranking]
        one, other = (f"{each.auroc:.3f} ({_span(auroc_interval(each), '.3f')})" for each in placed)
        between = f"{placed[1].auroc - placed[0].auroc:+.3f}"
        if min(good, bad) > 1:
            between += f" ({_span(difference_interval(placed[1], placed[0]), '+.3f')})"
        rows.append(("AUROC (95 % confidence)", one, other, between))
    for label, wrong, of in (
        ("misses", ranking[:, defective] <= 1, bad),
        ("false rejects", ranking[:, ~defective] > 1, good),
    ):
        if of:
            before, now = wrong.sum(axis=1).tolist()
            shares = (f"{count} of {of} ({count / of:.1%})" for count in (before, now))
            rows.append((label, *shares, f"{now - before:+d}"))
    asked = [model.thresholds.false_reject_rate for model in comparison.models]
    rows.append(("false rejects asked", *(f"{rate:.1%}" for rate in asked), f"{asked[1] - asked[0]:+.1%}"))
    return rows


def _known(path: Path, samples: Sequence[Sample]) -> int:
    try:
        calibration = calibration_of(path)
    except ArtifactError:  # a bundle of an older version, which judges, but keeps none
        return 0
    return int((calibration.rows_of([sample.path for sample in samples]) >= 0).sum())


def _judge(path: Path, samples: Sequence[Sample]) -> tuple[dict[Sample, int], Judged]:
    """Judge what can be read and decided about; says too in which row each picture is."""
    with opened(path) as model:
        try:
            frames = decidable(read_frames(samples, model.input))
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
        errors, maps = model.judge(frames.bgr_u8)
        rows = {sample: row for row, sample in enumerate(frames.samples)}
        return rows, Judged(model.input, model.grid, model.thresholds, errors, maps)


def _span(interval: Interval, form: str) -> str:
    return f"{interval[0]:{form}} to {interval[1]:{form}}"
