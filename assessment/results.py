"""Results: the files that tell what an evaluation found, and the folder that holds them."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from assessment.evaluation import Evaluation
from assessment.report import render_report
from assessment.score_table import write_csv
from core.datasets.dataset import Data, folders
from core.datasets.layout import require_apart
from core.files import alone, becoming, naming, write_whole
from training.detector.contact_sheet import clearest_and_worst, draw_contact_sheet

REPORT = "report.html"


def save(evaluation: Evaluation, output: Path) -> tuple[str, ...]:
    """Write a report, a contact sheet, the measures and the scores into `output`; give their files' names."""
    report, sheet, measures, scores = REPORT, "contact_sheet.png", "metrics.json", "scores.csv"
    output.mkdir(parents=True, exist_ok=True)
    with naming(output):
        write_whole(output / measures, f"{json.dumps(evaluation.metrics, indent=2)}\n".encode())
        with becoming(output / scores) as part, part.open("w", encoding="utf-8", newline="") as file:
            write_csv(evaluation.rows(), file)
        chosen = clearest_and_worst(evaluation.scores, evaluation.defective)
        drawn = draw_contact_sheet(evaluation.checkpoint, evaluation.frames, chosen, evaluation.errors)
        drawn.savefig(output / sheet, dpi=100)
        page = render_report(evaluation)
        write_whole(output / report, page.encode(errors="backslashreplace"))  # the last: what is there is whole
    return report, sheet, measures, scores


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
