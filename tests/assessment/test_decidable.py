import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from assessment.comparison import compare
from assessment.evaluation import evaluate
from assessment.prediction import predict
from assessment.recalibration import consequences
from assessment.results import save
from tests.pictures import read_picture
from training.detector.checkpoint import load_checkpoint


def write_even(path: Path, level: int) -> None:
    cv2.imwrite(str(path), np.full((64, 64, 3), level, np.uint8))


@pytest.fixture
def odd(parts: Path, tmp_path: Path) -> Path:
    """The test pictures, and two more that a station would not decide about."""
    data = Path(shutil.copytree(parts / "test", tmp_path / "test"))
    write_even(data / "scratch" / "lamp.png", 3)
    write_even(data / "good" / "flood.png", 252)
    return data


@pytest.mark.parametrize("kind", ["checkpoint", "exported"])
def test_what_a_station_would_not_decide_about_is_not_decidable_and_its_score_is_told(
    kind: str, checkpoint: Path, exported: Path, tmp_path: Path
) -> None:
    for level in (8, 9, 249, 250):
        write_even(tmp_path / f"{level:03}.png", level)
    black, dark, bright, white = predict({"checkpoint": checkpoint, "exported": exported}[kind], [tmp_path])
    assert [one.verdict for one in (black, dark, bright, white)] == ["NotDecidable", "NotOK", "NotOK", "NotDecidable"]
    assert f"{tmp_path / '008.png'}: black, a station would not decide about it" == black.reason
    assert f"{tmp_path / '250.png'}: overexposed, a station would not decide about it" == white.reason
    assert all(one.score is not None and one.score > 1 and len(one.errors) == 10 for one in (black, white))
    assert dark.reason == bright.reason == ""


def test_it_is_named_and_counted_and_alters_no_figure(
    checkpoint: Path, exported: Path, parts: Path, odd: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = load_checkpoint(checkpoint)
    plain = evaluate(trained, str(parts))
    capsys.readouterr()
    evaluation = evaluate(trained, str(odd))
    said = capsys.readouterr().err
    assert f"skipped: {odd / 'good' / 'flood.png'}: overexposed" in said
    assert f"skipped: {odd / 'scratch' / 'lamp.png'}: black" in said
    alike = ("good", "defective", "auroc", "miss_rate", "false_reject_rate", "kinds", "what_if", "intervals")
    assert [evaluation.metrics[name] for name in alike] == [plain.metrics[name] for name in alike]
    assert (plain.metrics["skipped"], evaluation.metrics["skipped"]) == (0, 2)
    save(evaluation, tmp_path / "out")
    table = (tmp_path / "out" / "scores.csv").read_text().splitlines()
    assert [Path(line.split(",")[0]).name for line in table if ",NotDecidable," in line] == ["flood.png", "lamp.png"]
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["skipped"] == 2
    assert len(compare((checkpoint, exported), str(odd)).samples) == 20
    assert consequences(checkpoint, str(odd)).defective == 8


def test_a_dark_field_is_judged_with_a_warning(
    checkpoint: Path, parts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = Path(shutil.copytree(parts / "test", tmp_path / "dark"))
    for path in data.rglob("*.png"):
        cv2.imwrite(str(path), read_picture(path) // 64)
    metrics = evaluate(load_checkpoint(checkpoint), str(data)).metrics
    assert (metrics["good"], metrics["defective"], metrics["skipped"]) == (12, 8, 0)
    said = capsys.readouterr().err
    assert "warning: 20 of 20 pictures are black or over-exposed" in said
    assert "`exposure` is set for such pictures" in said
