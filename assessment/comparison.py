"""Comparison: two models on the same labelled pictures, and where their verdicts differ."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from assessment.confidence import auroc_interval, difference_interval, placements
from assessment.model import opened
from assessment.score_table import printable
from core.dataset import GOOD, Sample, labelled_samples, read_frames
from core.thresholds import scores


@dataclass(frozen=True)
class Comparison:
    """What two models say of the same N pictures."""

    samples: tuple[Sample, ...]
    scores: NDArray[np.float64]
    """(2, N); above 1 is rejected."""

    @property
    def defective(self) -> NDArray[np.bool_]:
        """Which pictures show a defective part (N,)."""
        return np.array([sample.kind != GOOD for sample in self.samples])

    @property
    def differing(self) -> NDArray[np.int64]:
        """The pictures of which the verdicts differ, in the order of the data."""
        rejected = self.scores > 1
        return np.flatnonzero(rejected[0] != rejected[1])


def compare(models: Sequence[Path], data: str) -> Comparison:
    """Judge the labelled pictures of `data` with two models. Raises ArtifactError, BackendError or DataError."""
    samples = labelled_samples(data)
    found = []
    for path in models:
        with opened(path) as model:
            frames = read_frames(samples, model.input)
            ranking = scores(model.judge(frames.bgr_u8)[0], model.thresholds)
            found.append(dict(zip(frames.samples, ranking, strict=True)))
    # One model may find no part where the other does.
    both = tuple(sample for sample in samples if all(sample in judged for judged in found))
    return Comparison(both, np.array([[judged[sample] for sample in both] for judged in found]))


def comparison_tables(comparison: Comparison, names: Sequence[str]) -> tuple[Table, Table]:
    """Lay out both models' figures, and the pictures of which their verdicts differ."""
    defective, rejected = comparison.defective, comparison.scores > 1
    good, bad = int((~defective).sum()), int(defective.sum())
    figures = Table("", *names, "difference", title=f"{good} good, {bad} defective pictures")
    if good and bad:
        placed = [placements(ranking, defective) for ranking in comparison.scores]
        areas = [f"{one.auroc:.3f} ({_span(auroc_interval(one), '.3f')})" for one in placed]
        between = f"{placed[1].auroc - placed[0].auroc:+.3f}"
        if min(good, bad) > 1:
            between += f" ({_span(difference_interval(placed[1], placed[0]), '+.3f')})"
        figures.add_row("AUROC (95 % confidence)", *areas, between)
    for label, wrong, of in (
        ("misses", ~rejected[:, defective], bad),
        ("false rejects", rejected[:, ~defective], good),
    ):
        if of:
            counts = wrong.sum(axis=1)
            figures.add_row(label, *(f"{n} of {of} ({n / of:.1%})" for n in counts), f"{counts[1] - counts[0]:+d}")
    differing = comparison.differing
    pictures = Table(
        "picture", "kind", *names, title=f"verdicts differ on {len(differing)} of {len(defective)} pictures"
    )
    for i in differing:
        verdicts = (f"{'NotOK' if score > 1 else 'OK'} {score:.2f}" for score in comparison.scores[:, i])
        pictures.add_row(printable(comparison.samples[i].path), comparison.samples[i].kind, *verdicts)
    return figures, pictures


def _span(interval: tuple[float, float], form: str) -> str:
    return f"{interval[0]:{form}} to {interval[1]:{form}}"
