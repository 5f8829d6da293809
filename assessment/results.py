"""Results: what an evaluation found, and the files that tell it."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assessment.drawn_marks import DrawnMarks
from assessment.report import render_report
from assessment.score_table import score_row, write_csv
from core.datasets.dataset import Data, are_defective, folders
from core.datasets.frames import Frames
from core.datasets.layout import require_apart
from core.files import alone, becoming, naming, write_whole
from training.detector.checkpoint import Checkpoint
from training.detector.contact_sheet import clearest_and_worst, draw_contact_sheet

REPORT = "report.html"


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
    """Where no picture shows a defective part: which marks are found that are drawn on good ones."""
    metrics: dict[str, Any]
    """Figures by name, None where the pictures do not allow them; `intervals`, `kinds`, `what_if`, `drawn_marks`."""

    @property
    def defective(self) -> NDArray[np.bool_]:
        """Which pictures show a defective part (N,)."""
        return are_defective(self.frames.samples)

    def save(self, output: Path) -> tuple[str, ...]:
        """Write a report, a contact sheet, the measures and the scores into `output`; give their files' names."""
        report, sheet, measures, scores = REPORT, "contact_sheet.png", "metrics.json", "scores.csv"
        output.mkdir(parents=True, exist_ok=True)
        with naming(output):
            write_whole(output / measures, f"{json.dumps(self.metrics, indent=2)}\n".encode())
            with becoming(output / scores) as part, part.open("w", encoding="utf-8", newline="") as file:
                write_csv(self.rows(), file)
            chosen = clearest_and_worst(self.scores, self.defective)
            drawn = draw_contact_sheet(self.checkpoint, self.frames, chosen, self.errors)
            drawn.savefig(output / sheet, dpi=100)
            page = render_report(self.checkpoint, self.frames, self.errors, self.maps, self.marks, self.metrics)
            write_whole(output / report, page.encode(errors="backslashreplace"))  # the last: what is there is whole
        return report, sheet, measures, scores

    def rows(self) -> list[dict[str, Any]]:
        """Lay out a line a picture; one that was skipped is NotDecidable."""
        tiles = self.errors.shape[1] - 1
        rows = [
            score_row(sample.path, "NotOK" if score > 1 else "OK", float(score), errors, tiles, kind=sample.kind)
            for sample, score, errors in zip(self.frames.samples, self.scores, self.errors.tolist(), strict=True)
        ]
        return rows + [score_row(path, "NotDecidable", None, (), tiles, kind="") for path in self.frames.skipped]


@contextmanager
def results_folder(output: Path, data: Data) -> Iterator[None]:
    """Hold the folder for results, made before hours of work; says on stderr where those of before will be replaced.

    Raises ConfigError where it cannot be made, is one of `data`, or another command is at work there.
    """
    require_apart(output, folders(data))
    with alone(output):
        if (output / REPORT).exists():
            sys.stderr.write(f"{output}: what an earlier run wrote there will be replaced; see --output\n")
        yield
