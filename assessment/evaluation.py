"""Evaluation: how well a checkpoint tells good from defective, and what a factory gets at its thresholds."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assessment.decidable import decidable
from assessment.drawn_marks import PARTS, DrawnMarks, draw_marks, parts_beside
from assessment.localisation import localisation_metrics
from assessment.metrics import by_kind, image_metrics, intervals, what_if
from assessment.score_table import score_row
from core.datasets.dataset import Data, Sample, are_defective, labelled_samples, names
from core.datasets.frames import Frames, read_frames
from core.thresholds import scores
from training.detector.checkpoint import Checkpoint
from training.detector.inspector import judge


@dataclass(frozen=True)
class Evaluation:
    """Errors, scores and metrics of labelled pictures."""

    checkpoint: Checkpoint
    frames: Frames
    errors: NDArray[np.float64]
    """(N, K + 1). Of a picture that calibrated the thresholds: by a decoder that has not trained on it."""
    maps: NDArray[np.float32]
    """(N, h, w), by the whole detector."""
    scores: NDArray[np.float64]
    """(N,), the verdict's own statistic; above 1 is anomalous."""
    marks: tuple[DrawnMarks, ...]
    """Which marks are found that are drawn on good parts; empty where of none it can be said."""
    metrics: dict[str, Any]
    """Figures by name, None where the pictures do not allow them; `intervals`, `kinds`, `what_if`, `drawn_marks`."""

    @property
    def defective(self) -> NDArray[np.bool_]:
        """Which pictures show a defective part (N,)."""
        return are_defective(self.frames.samples)

    def rows(self) -> list[dict[str, Any]]:
        """Lay out a line a picture; one that was skipped is NotDecidable."""
        tiles = self.errors.shape[1] - 1
        rows = [
            score_row(sample.path, "NotOK" if score > 1 else "OK", float(score), errors, tiles, kind=sample.kind)
            for sample, score, errors in zip(self.frames.samples, self.scores, self.errors.tolist(), strict=True)
        ]
        return rows + [score_row(path, "NotDecidable", None, (), tiles, kind="") for path in self.frames.skipped]


def evaluate(checkpoint: Checkpoint, data: Data) -> Evaluation:
    """Judge all test pictures of `data`. Raises DataError where there are none."""
    network = checkpoint.settings.network
    frames = decidable(read_frames(labelled_samples(data), checkpoint.input))
    started_s = time.perf_counter()
    judged, maps = judge(checkpoint.inspector, frames.bgr_u8)
    seconds = time.perf_counter() - started_s
    rows = checkpoint.calibration.rows_of([sample.path for sample in frames.samples])
    errors = judged.astype(np.float64)
    # The whole detector has trained on these pictures, copies of them included, and would flatter itself.
    errors[rows >= 0] = checkpoint.calibration.errors[rows[rows >= 0]]
    known, thresholds = rows[rows >= 0], checkpoint.thresholds
    apart = checkpoint.calibration.left_out(thresholds)
    ranking = scores(errors, thresholds)
    kinds, defective = [sample.kind for sample in frames.samples], are_defective(frames.samples)
    _warn_of_defective([frames.samples[i] for i in np.flatnonzero(defective & (rows >= 0))])
    most = parts_beside(len(defective)) if defective.any() else PARTS
    marks = draw_marks(checkpoint, frames.bgr_u8, ~defective & (ranking <= 1), rows, most)
    metrics = {
        "data": ", ".join(names(data)),
        "good": int((~defective).sum()),
        "defective": int(defective.sum()),
        "skipped": len(frames.skipped),
        "calibrating": len(known),
        "suspects": int(apart[rows[(rows >= 0) & ~defective]].sum()),
        **image_metrics(ranking, defective),
        **localisation_metrics(frames.samples, maps, network),
        "false_reject_asked": thresholds.false_reject_rate,
        "false_reject_upper": thresholds.false_reject_upper_with_odd,
        "images_per_second": len(frames.samples) / seconds,
        "intervals": intervals(ranking, defective),
        "kinds": by_kind(ranking, kinds),
        "what_if": what_if(checkpoint.calibration, errors, defective, thresholds.believes_all),
        "drawn_marks": [mark.row() for mark in marks],
    }
    return Evaluation(checkpoint, frames, errors, maps, ranking, marks, metrics)


def _warn_of_defective(trained: Sequence[Sample]) -> None:
    """Warn of pictures for the test that are defective here and were good ones for the training."""
    if trained:
        sys.stderr.write(
            f"warning: {len(trained)} of the defective pictures here are good ones in the training, such as "
            f"{trained[0].path} ({trained[0].kind}): remove them from the good ones and train again, or "
            "from the test.\n"
        )
