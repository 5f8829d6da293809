"""Evaluation: how well a checkpoint tells good from defective, and what a factory gets at its thresholds."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.metrics import roc_auc_score, roc_curve

from core.dataset import GOOD, Frames, labelled_samples, read_frames
from core.thresholds import scores
from training.checkpoint import Checkpoint
from training.contact_sheet import clearest_and_worst, draw_contact_sheet
from training.inspector import judge
from training.localisation import localisation_metrics
from training.report import render_report


@dataclass(frozen=True)
class Evaluation:
    """Errors, scores and metrics of labelled pictures."""

    checkpoint: Checkpoint
    frames: Frames
    errors: NDArray[np.float32]
    """(N, K + 1)."""
    scores: NDArray[np.float64]
    """(N,), the largest e / eps; above 1 is anomalous."""
    metrics: dict[str, Any]

    def save(self, output: Path) -> None:
        """Write metrics.json, contact_sheet.png and report.html into the folder `output`."""
        output.mkdir(parents=True, exist_ok=True)
        (output / "metrics.json").write_text(json.dumps(self.metrics, indent=2) + "\n", encoding="utf-8")
        defective = np.array([sample.kind != GOOD for sample in self.frames.samples])
        sheet = draw_contact_sheet(self.checkpoint, self.frames, clearest_and_worst(self.scores, defective))
        sheet.savefig(output / "contact_sheet.png", dpi=100)
        report = render_report(self.checkpoint, self.frames, self.scores, defective, self.metrics)
        (output / "report.html").write_text(report, encoding="utf-8")


def evaluate(checkpoint: Checkpoint, data: str) -> Evaluation:
    """Judge all test pictures of `data`. Raises DataError where there are none."""
    network = checkpoint.settings.network
    frames = read_frames(labelled_samples(data), network.height, network.width, network.part_size)
    started = time.perf_counter()
    errors, maps = judge(checkpoint.inspector, frames.bgr_u8)
    seconds = time.perf_counter() - started
    ranking = scores(errors, checkpoint.thresholds)
    defective = np.array([sample.kind != GOOD for sample in frames.samples])
    metrics = {
        "data": data,
        "good": int((~defective).sum()),
        "defective": int(defective.sum()),
        "skipped": len(frames.skipped),
        **image_metrics(ranking, defective),
        **localisation_metrics(frames.samples, maps, network),
        "false_reject_asked": checkpoint.thresholds.false_reject_rate,
        "images_per_second": len(frames.samples) / seconds,
    }
    return Evaluation(checkpoint, frames, errors, ranking, metrics)


def image_metrics(ranking: NDArray[np.floating], defective: NDArray[np.bool_]) -> dict[str, float | None]:
    """AUROC and best balanced accuracy over all thresholds, and the rates at the calibrated one (score 1).

    A rate is None where its kind of part is absent.
    """
    rejected = ranking > 1
    false_rejects = float(rejected[~defective].mean()) if (~defective).any() else None
    misses = float((~rejected[defective]).mean()) if defective.any() else None
    both = false_rejects is not None and misses is not None
    auroc = best = None
    if both:
        auroc = float(roc_auc_score(defective, ranking))
        false_positive_rate, true_positive_rate, _ = roc_curve(defective, ranking)
        best = float(np.max(true_positive_rate + 1 - false_positive_rate) / 2)
    return {
        "auroc": auroc,
        "max_balanced_accuracy": best,
        "balanced_accuracy": 1 - (false_rejects + misses) / 2
        if false_rejects is not None and misses is not None
        else None,
        "false_reject_rate": false_rejects,
        "miss_rate": misses,
    }


def print_metrics(metrics: dict[str, Any]) -> None:
    """Print the metrics as a table."""
    table = Table(
        "measure", "value", title=f"{metrics['data']}: {metrics['good']} good, {metrics['defective']} defective"
    )
    for name, value in metrics.items():
        if name not in {"data", "good", "defective"}:
            table.add_row(name.replace("_", " "), "-" if value is None else f"{value:.4g}")
    Console().print(table)
