"""The paper's tables: a category that fails is named, the others are measured, and nothing is measured twice."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.pictures import write_parts
from training.settings import TrainingSettings


@pytest.fixture
def paper(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[1] / "benchmarks"))
    found = importlib.import_module("paper")
    monkeypatch.setattr(found, "LOG", tmp_path / "paper.jsonl")
    monkeypatch.setattr(found, "RESULTS", tmp_path)
    return found


def test_a_category_without_pictures_is_named_and_the_others_are_measured_once(
    paper: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mvtec = tmp_path / "my mvtec"
    write_parts(mvtec / "screw")
    (mvtec / "capsule" / "train" / "good").mkdir(parents=True)
    measured = []

    def measure(method: str, settings: TrainingSettings) -> dict[str, dict[str, float]]:
        measured.append((method, Path(str(settings.data)).name))
        return {method: {"auroc": 0.5, "max_balanced_accuracy": 0.5}}

    monkeypatch.setattr(paper, "measure", measure)
    monkeypatch.setattr(sys, "argv", ["paper.py", "--mvtec", str(mvtec), "--methods", "P-WAE", "recipe"])
    for _ in range(2):
        with pytest.raises(SystemExit) as end:
            paper.main()
        assert end.value.code == 1
        told = capsys.readouterr().err
        assert told.count(f"{mvtec / 'capsule' / 'train' / 'good'}: no pictures in it") == 3
    assert measured == [("brightness alone", "screw"), ("P-WAE", "screw"), ("recipe", "screw")]
    lines = (tmp_path / "paper.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["set"] for line in lines] == ["screw"] * 3


@pytest.mark.parametrize("tables", ["paper", "results"])
def test_make_takes_a_folder_with_spaces_in_its_name_and_asks_for_one(tables: str) -> None:
    def told(*words: str) -> str:
        done = subprocess.run(["make", "-n", tables, *words], capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    assert '--mvtec "my mvtec"' in told("MVTEC=my mvtec")
    assert f"say where the pictures are: make {tables} MVTEC=DIR" in told()
