"""What an evaluation leaves in its folder."""

import csv
import re
import shutil
from pathlib import Path

import pytest

from assessment.evaluation import evaluate
from assessment.prediction import predict
from assessment.results import results_folder, save
from core.errors import ConfigError
from tests.full_disk import full_disk
from training.detector.checkpoint import load_checkpoint


def test_scores_csv_has_a_line_a_picture_with_ten_errors(checkpoint: Path, parts: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(parts / "test", tmp_path / "data"))
    (data / "good" / "cut.png").write_bytes(b"junk")
    evaluation = evaluate(load_checkpoint(checkpoint), str(data))
    save(evaluation, tmp_path / "out")
    with (tmp_path / "out" / "scores.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert list(lines[0])[:4] == ["file", "kind", "verdict", "score"]
    assert len(lines[0]) == 4 + 10
    assert [line["kind"] for line in lines].count("scratch") == 8
    judged = [line for line in lines if line["verdict"] != "NotDecidable"]
    assert [float(line["score"]) for line in judged] == evaluation.scores.tolist()
    assert all((float(line["score"]) > 1) == (line["verdict"] == "NotOK") for line in judged)
    assert [Path(line["file"]).name for line in lines if line["verdict"] == "NotDecidable"] == ["cut.png"]


def test_every_miss_and_false_reject_stands_in_the_report(checkpoint: Path, parts: Path, tmp_path: Path) -> None:
    trained = load_checkpoint(checkpoint)
    swapped = tmp_path / "data"
    shutil.copytree(parts / "test" / "good", swapped / "dent")
    shutil.copytree(parts / "test" / "scratch", swapped / "good")
    evaluation = evaluate(trained, str(swapped))
    save(evaluation, tmp_path / "out")
    report = (tmp_path / "out" / "report.html").read_text()
    wrong = [
        s
        for s, score in zip(evaluation.frames.samples, evaluation.scores, strict=True)
        if (score > 1) == (s.kind == "good")
    ]
    assert len(wrong) > 12
    captions = re.findall(r"<figcaption>(.*?), score", report)
    names = [f"{sample.kind}: {sample.path.relative_to(swapped)}" for sample in wrong]
    assert all(captions.count(name) == 1 for name in names), "each once"


def test_results_of_before_are_not_replaced_without_a_word(
    checkpoint: Path, parts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with results_folder(tmp_path, str(parts)):
        assert not capsys.readouterr().err
        save(evaluate(load_checkpoint(checkpoint), str(parts)), tmp_path)
    with results_folder(tmp_path, str(parts)):
        pass
    assert capsys.readouterr().err == f"{tmp_path}: what an earlier run wrote there will be replaced; see --output\n"


def test_a_report_that_does_not_fit_on_the_disk_is_not_there_in_part(
    checkpoint: Path, parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluation = evaluate(load_checkpoint(checkpoint), str(parts / "test"))
    monkeypatch.setattr("assessment.results.render_report", lambda *_: "x" * 20_000_000)
    with full_disk(10_000_000), pytest.raises(OSError, match=r"report\.html"):
        save(evaluation, tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["contact_sheet.png", "metrics.json", "scores.csv"]


def test_two_at_once_do_not_write_into_one_folder(parts: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    with results_folder(output, str(parts)):
        with (
            pytest.raises(ConfigError, match=f"{output}: another process is at work there"),
            results_folder(output, ()),
        ):
            pass
        (output / "report.html").touch()
    with results_folder(output, str(parts)):
        pass


def test_a_picture_has_one_name_in_all_tables_and_the_report_from_wherever_it_is_reached(
    checkpoint: Path, parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = Path(shutil.copytree(parts, tmp_path / "data"))
    (tmp_path / "link").symlink_to(data)
    (data / "test/good/000.png").rename(tmp_path / "elsewhere.png")
    (data / "test/good/000.png").symlink_to(tmp_path / "elsewhere.png")
    (tmp_path / "there").mkdir()
    whole = {str(path) for path in (data / "test").glob("*/*.png")}
    for here, given in ((tmp_path, "data"), (tmp_path / "there", "../link"), (data, ".")):
        monkeypatch.chdir(here)
        evaluation = evaluate(load_checkpoint(checkpoint), given)
        assert {row["file"] for row in evaluation.rows()} == whole
        assert {one.row(9)["file"] for one in predict(checkpoint, [f"{given}/test"])} == whole
    save(evaluation, tmp_path / "out")
    report = (tmp_path / "out" / "report.html").read_text()
    captions = re.findall(r"<figcaption>\w+: (.*?), score", report)
    assert captions
    assert {str(data / "test" / caption) for caption in captions} <= whole
    assert f"Named by where they lie in {data / 'test'}." in report, "once, and not in each caption"
