"""In which order good pictures are shown to somebody who is to look at them."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from core.calibration import Calibration
from core.datasets.dataset import Sample
from core.datasets.frames import Frames
from training.suspects import report_suspects

PICTURES, DOUBTED = 60, 30


def test_what_was_doubted_at_first_look_is_shown_first_though_the_decoders_rebuild_it_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    samples = tuple(Sample(Path(f"{number:03}.png")) for number in range(PICTURES))
    frames = Frames(np.zeros((PICTURES, 8, 8, 3), np.uint8), samples, ())
    errors = np.random.default_rng(0).gamma(8, 1, (PICTURES, 10))
    errors[-DOUBTED:] = np.median(errors, axis=0)
    is_doubted = np.arange(PICTURES) >= PICTURES - DOUBTED
    calibration = Calibration(tuple(str(sample.path) for sample in samples), errors, is_doubted, np.arange(len(errors)))
    report_suspects(calibration, calibration.thresholds(0.05), frames, np.arange(PICTURES), tmp_path)
    with (tmp_path / "suspects.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert b"\r" not in (tmp_path / "suspects.csv").read_bytes()
    assert {row["file"] for row in rows} == {str(tmp_path / sample.path) for sample in samples}
    left_out = [row["left_out_of_the_thresholds"] == "yes" for row in rows]
    assert left_out == sorted(left_out, reverse=True)
    assert sum(left_out) == calibration.odd.sum() >= DOUBTED
    believed = [float(row["spreads_above_the_others"]) for row in rows[sum(left_out) :]]
    assert believed == sorted(believed, reverse=True)
    # Half of the pictures, and one in twenty of the other half.
    told = capsys.readouterr().err
    assert "a bad part that trains hides defects like its own" in told
    assert "else up to about 52% of good parts are rejected and not 5%, below 63% with 95 % confidence" in told
    sheet = cv2.imread(str(tmp_path / "suspects.png"))
    assert sheet is not None
    assert sheet.shape[0] == pytest.approx(90 * (0.45 + 2.5 * -(-max(24, sum(left_out)) // 6)), abs=2)
    report_suspects(calibration, calibration.thresholds(0.05, believe_all=True), frames, np.arange(PICTURES), tmp_path)
    assert "stand apart" not in capsys.readouterr().err, "somebody has said that all are good"
    assert ",yes," not in (tmp_path / "suspects.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize(("height", "width"), [(24, 24), (24, 72), (72, 24), (24, 240)])
def test_the_sheet_shows_pictures_of_any_shape_as_large_as_its_room_allows(
    tmp_path: Path, height: int, width: int
) -> None:
    count = 12  # two lines of square ones, or more: a line takes a tenth of a second
    samples = tuple(Sample(Path(f"{number:03}.png")) for number in range(count))
    frames = Frames(np.zeros((count, height, width, 3), np.uint8), samples, ())
    errors = np.random.default_rng(0).gamma(8, 1, (count, 10))
    calibration = Calibration(tuple(map(str, range(count))), errors, np.zeros(count, bool), np.arange(count))
    report_suspects(calibration, calibration.thresholds(0.25), frames, np.arange(count), tmp_path)
    sheet = cv2.imread(str(tmp_path / "suspects.png"))
    assert sheet is not None
    assert (sheet < 10).all(axis=2).mean() > 0.5, "more than half of the sheet is pictures"
    assert (sheet[:, [0, -1]] == 255).all(), "what stands above the pictures is not cut off"
