import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from assessment.evaluation import evaluate
from assessment.metrics import image_metrics
from core.errors import DataError
from training.checkpoint import load_checkpoint


def test_a_trained_detector_tells_scratched_parts_and_leaves_table_and_pictures(
    checkpoint: Path, parts: Path, tmp_path: Path
) -> None:
    evaluation = evaluate(load_checkpoint(checkpoint), str(parts))
    evaluation.save(tmp_path)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["good"] == 12
    assert metrics["defective"] == 8
    assert metrics["auroc"] > 0.95
    assert metrics["pixel_auroc"] > 0.8
    sheet = cv2.imread(str(tmp_path / "contact_sheet.png"))
    assert min(sheet.shape[:2]) > 600
    assert sheet.std() > 10
    report = (tmp_path / "report.html").read_text()
    assert f"{metrics['auroc']:.4g}" in report
    assert "Worst misses" in report
    assert not re.search(r"(src|href)=.(?!data:)", report), "the report must stand alone"


def test_a_folder_of_good_parts_gives_false_rejects_alone(checkpoint: Path, parts: Path) -> None:
    metrics = evaluate(load_checkpoint(checkpoint), str(parts / "test" / "good")).metrics
    assert metrics["false_reject_rate"] is not None
    assert metrics["auroc"] is metrics["miss_rate"] is metrics["pixel_auroc"] is None


def test_an_empty_folder_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no pictures in it"):
        evaluate(load_checkpoint(checkpoint), str(tmp_path))


def test_metrics_by_hand() -> None:
    ranking = np.array([0.2, 0.9, 1.1, 0.8, 1.5, 3.0])
    defective = np.array([False, False, False, True, True, True])
    metrics = image_metrics(ranking, defective)
    assert metrics["false_reject_rate"] == pytest.approx(1 / 3)
    assert metrics["miss_rate"] == pytest.approx(1 / 3)
    assert metrics["balanced_accuracy"] == pytest.approx(2 / 3)
    assert metrics["auroc"] == pytest.approx(7 / 9)
    assert metrics["max_balanced_accuracy"] == pytest.approx(5 / 6)
