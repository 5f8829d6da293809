import html
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from assessment.drawn_marks import FEWEST
from assessment.evaluation import evaluate
from assessment.metrics import NO_DEFECTIVE, image_metrics
from assessment.report import HOW_SMALL, draw_scores, figure_rows
from assessment.results import save
from assessment.summary import print_metrics
from core.datasets.dataset import Sample
from core.datasets.frames import read_frames
from core.errors import DataError
from core.thresholds import calibrate
from tests.pictures import read_picture
from training.detector.checkpoint import load_checkpoint
from training.detector.contact_sheet import draw_contact_sheet
from training.detector.inspector import judge
from training.session import train
from training.settings import TrainingSettings


def test_a_trained_detector_tells_scratched_parts_and_leaves_table_and_pictures(
    checkpoint: Path, parts: Path, tmp_path: Path
) -> None:
    evaluation = evaluate(load_checkpoint(checkpoint), str(parts))
    save(evaluation, tmp_path)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["good"] == 12
    assert metrics["defective"] == 8
    assert metrics["auroc"] > 0.95
    assert metrics["pixel_auroc"] > 0.8
    sheet = read_picture(tmp_path / "contact_sheet.png")
    assert min(sheet.shape[:2]) > 600
    assert sheet.std() > 10
    report = (tmp_path / "report.html").read_text()
    assert f"{metrics['auroc']:.3f} (" in report
    elsewhere = {"data", "good", "defective", "calibrating", "intervals", "kinds", "what_if", "drawn_marks"}
    elsewhere |= {"false_reject_upper"}
    told = [name for name, value in metrics.items() if value and name not in elsewhere]
    rows = figure_rows(metrics)
    assert [label for label, _ in rows[:2]] == ["miss rate", "false-reject rate"], "what a line asks first"
    assert len(rows) >= len(told), "no figure is lost"
    for words in (
        "<dt>AUROC",
        "of 8 defective",
        "of 12 good",
        "What the words mean",
        "By kind of part",
        "What other false-reject",
    ):
        assert words in report
    assert not re.search(r"(src|href)=.(?!data:)", report), "the report must stand alone"


def test_a_folder_of_good_parts_gives_false_rejects_alone(checkpoint: Path, parts: Path, tmp_path: Path) -> None:
    evaluation = evaluate(load_checkpoint(checkpoint), str(parts / "test" / "good"))
    metrics = evaluation.metrics
    save(evaluation, tmp_path)
    report = (tmp_path / "report.html").read_text()
    assert "<dt>False reject" in report
    assert not [word for word in ("AUROC", "Miss", "Balanced accuracy", "AUPRO") if f"<dt>{word}" in report]
    assert metrics["false_reject_rate"] is not None
    assert metrics["auroc"] is metrics["miss_rate"] is metrics["pixel_auroc"] is None
    assert set(metrics["intervals"]) == {"false_reject_rate"}


def test_pictures_of_a_shape_that_none_had_that_trained_are_warned_of(
    checkpoint: Path, parts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = load_checkpoint(checkpoint)
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), read_picture(parts / "test" / "good" / f"00{number}.png")[:24])
    evaluate(trained, str(tmp_path))
    assert "warning: 3 of 3 pictures are squeezed, such as" in capsys.readouterr().err
    older = {key: value for key, value in trained.provenance.items() if key != "aspects"}
    evaluate(replace(trained, provenance=older), str(tmp_path))
    assert "shape" not in capsys.readouterr().err


@pytest.mark.parametrize("tested", ["test/good", "."])
def test_it_says_how_small_a_mark_on_a_good_part_is_found(
    checkpoint: Path, parts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], tested: str
) -> None:
    evaluation = evaluate(load_checkpoint(checkpoint), str(parts / tested))
    save(evaluation, tmp_path)
    told = json.loads((tmp_path / "metrics.json").read_text())["drawn_marks"]
    assert told[0].keys() == {"kind", "size", "found", "parts"}
    passed = (~evaluation.defective & (evaluation.scores <= 1)).sum()
    assert {row["parts"] for row in told} == {FEWEST if evaluation.defective.any() else passed}
    assert HOW_SMALL in (tmp_path / "report.html").read_text()
    print_metrics(evaluation.metrics)
    assert "clear spot" in capsys.readouterr().out


def test_a_picture_that_was_filmed_again_under_its_old_name_is_judged_anew(
    parts: Path, tmp_path: Path, make_training_config: Callable[..., dict[str, Any]]
) -> None:
    data = Path(shutil.copytree(parts / "train" / "good", tmp_path / "data"))
    trained = load_checkpoint(train(TrainingSettings.model_validate(make_training_config(data, tmp_path / "run"))))
    again, moved = (Path(name) for name in trained.calibration.names[:2])
    shutil.copy(parts / "test" / "scratch" / "000.png", again)
    moved.rename(data / "moved.png")
    evaluation = evaluate(trained, str(data))
    errors = dict(zip((sample.path for sample in evaluation.frames.samples), evaluation.errors, strict=True))
    assert evaluation.metrics["calibrating"] == len(trained.calibration.names) - 1
    assert errors[data / "moved.png"].tolist() == trained.calibration.errors[1].tolist()
    judged, _ = judge(trained.inspector, read_frames([Sample(again)], trained.input).bgr_u8)
    assert errors[again] == pytest.approx(judged[0])


def test_pictures_of_the_training_are_scored_by_decoders_that_have_not_seen_them(
    checkpoint: Path, parts: Path, tmp_path: Path
) -> None:
    trained = load_checkpoint(checkpoint)
    evaluation = evaluate(trained, str(parts / "train" / "good"))
    calibration = trained.calibration
    rows = {Path(name).name: row for name, row in zip(calibration.names, calibration.errors, strict=True)}
    assert evaluation.metrics["calibrating"] == len(rows)
    for sample, errors in zip(evaluation.frames.samples, evaluation.errors, strict=True):
        if sample.path.name in rows:
            assert errors == pytest.approx(rows[sample.path.name], rel=1e-9)
    copies = shutil.copytree(parts / "train" / "good", tmp_path / "copies")
    assert np.array_equal(evaluate(trained, str(copies)).errors, evaluation.errors)
    save(evaluation, tmp_path)
    report = (tmp_path / "report.html").read_text()
    assert "pictures were judged. " in report
    assert html.escape(NO_DEFECTIVE) in report
    assert "AUROC</t" not in report
    assert "defective missed" not in report


def test_a_picture_that_was_good_for_the_training_and_is_defective_here_is_told(
    checkpoint: Path, parts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = load_checkpoint(checkpoint)
    shutil.copytree(parts / "test", tmp_path / "data/test")
    evaluate(trained, str(tmp_path / "data"))
    assert "defective pictures here are good" not in capsys.readouterr().err
    wrong = shutil.copy(Path(trained.calibration.names[0]), tmp_path / "data/test/scratch/again.png")
    evaluate(trained, str(tmp_path / "data"))
    said = capsys.readouterr().err
    assert f"warning: 1 of the defective pictures here are good ones in the training, such as {wrong} (scratch)" in said


def test_good_pictures_that_look_other_than_those_of_the_training_are_told(
    checkpoint: Path, parts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others = shutil.copytree(parts / "test" / "scratch", tmp_path / "others")
    for data, is_told in ((parts, False), (others, True)):
        evaluation = evaluate(load_checkpoint(checkpoint), str(data))
        save(evaluation, tmp_path / "out")
        print_metrics(evaluation.metrics)
        for told in (capsys.readouterr().out, (tmp_path / "out" / "report.html").read_text()):
            assert ("More good pictures are rejected here than the training promised" in told) == is_told


def test_a_report_says_first_what_was_judged_and_counts_parts_in_whole_ones(
    checkpoint: Path, parts: Path, tmp_path: Path
) -> None:
    evaluation = evaluate(load_checkpoint(checkpoint), str(parts / "train" / "good"))
    save(evaluation, tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "40 pictures were judged. 20 of them are of the training: their scores are by" in page
    chart = draw_scores(np.array([0.5, 0.9, 1.2]), np.array([False, False, True]), np.array([0.6]))
    FigureCanvasAgg(chart).draw()
    assert [label.get_text() for label in chart.axes[0].get_yticklabels()][:2] == ["0", "1"]


def test_where_no_good_part_passes_no_marks_are_promised(checkpoint: Path, parts: Path, tmp_path: Path) -> None:
    trained = load_checkpoint(checkpoint)
    strict = replace(trained, thresholds=trained.thresholds.scaled(0.001))
    for model, is_drawn in ((trained, True), (strict, False)):
        save(evaluate(model, str(parts / "test" / "good")), tmp_path)
        page = (tmp_path / "report.html").read_text()
        assert (HOW_SMALL in page, "What marks on good parts say is below" in page) == (is_drawn, is_drawn)


def test_the_sheet_says_of_a_picture_of_the_training_what_the_report_says(checkpoint: Path, parts: Path) -> None:
    evaluation = evaluate(load_checkpoint(checkpoint), str(parts / "train" / "good"))
    sheet = draw_contact_sheet(evaluation.checkpoint, evaluation.frames, [0, 1], evaluation.errors)
    titles = [axes.get_title() for axes in sheet.axes]
    for score in evaluation.scores[:2]:
        assert f"{'NotOK' if score > 1 else 'OK'}: score {score:.2f}" in titles


def test_the_sheet_names_kind_and_picture_where_both_have_long_names(
    checkpoint: Path, parts: Path, tmp_path: Path
) -> None:
    scratched = next((parts / "test").glob("scratch*"))
    long = tmp_path / "test" / "manipulated_in_front_of_the_neck"
    long.mkdir(parents=True)
    shutil.copy(next(scratched.iterdir()), long / f"{'extra_pictures_of_monday_' * 3}10.png")
    shutil.copytree(parts / "test" / "good", tmp_path / "test" / "good")
    evaluation = evaluate(load_checkpoint(checkpoint), str(tmp_path))
    chosen = [int(i) for i in np.argsort(evaluation.scores)[::-1][:2]]
    sheet = draw_contact_sheet(evaluation.checkpoint, evaluation.frames, chosen, evaluation.errors)
    FigureCanvasAgg(sheet).draw()
    titles = [axes.title for axes in sheet.axes if axes.get_title()]
    (named,) = (title.get_text().split("\n") for title in titles if title.get_text().startswith("…"))
    assert named[0].endswith("front_of_the_neck")
    assert named[1].endswith("10.png")
    places = [title.get_window_extent() for title in titles]
    assert min(place.x0 for place in places) >= 0
    assert not any(one.overlaps(other) for one in places for other in places if one is not other)


def test_rejected_good_pictures_that_stand_apart_are_told_from_other_false_rejects(
    checkpoint: Path, parts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = load_checkpoint(checkpoint)
    errors = trained.calibration.errors.copy()
    errors[2] *= 50
    calibration = replace(trained.calibration, errors=errors)
    altered = replace(trained, calibration=calibration, thresholds=calibrate(errors, 0.2))
    evaluation = evaluate(altered, str(parts / "train" / "good"))
    assert evaluation.metrics["suspects"] == altered.thresholds.odd >= 1
    save(evaluation, tmp_path)
    print_metrics(evaluation.metrics)
    for told in ((tmp_path / "report.html").read_text(), capsys.readouterr().out):
        assert re.search(r"\d of the .* stands? apart from the others and sets? no threshold, so that more", told)
    shutil.copytree(parts / "test", tmp_path / "data/test")
    shutil.copy(Path(calibration.names[2]), tmp_path / "data/test/scratch/again.png")
    rejected_rightly = evaluate(altered, str(tmp_path / "data")).metrics
    assert (rejected_rightly["calibrating"], rejected_rightly["suspects"]) == (1, 0), "it is no false reject"


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
