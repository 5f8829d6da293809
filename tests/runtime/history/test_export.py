"""Marked pictures become a data set."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import pytest
import yaml

from core.datasets.dataset import labelled_samples, training_samples
from core.datasets.remarks import Truth, remarks_on
from core.errors import ConfigError, DataError
from core.pictures.geometry import Roi
from runtime.history.annotations import Annotations
from runtime.history.entry import Entry
from runtime.history.export import export
from runtime.history.file import HistoryFile, add
from runtime.history.marks import add_mark
from runtime.parts.verdict import Verdict
from tests.pictures import draw_part

PARTS = 12


def event(number: int, picture: str | None) -> dict[str, Any]:
    tiles = [
        {"row": row, "col": col, "verdict": "NotOK" if (row, col) == (1, 2) else "OK"}
        for row in range(3)
        for col in range(3)
    ]
    return {
        "id": f"part-{number}",
        "camera": "top",
        "thresholds_id": "0",
        "verdict": {"code": 2, "name": "NotOK"},
        "tiles": tiles,
        "frame": {"width": 90, "height": 90},
        "evidence": {"ref": picture} if picture else None,
    }


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    """Rejected parts: of the last no picture was kept, that of the one before is gone; every third was bad."""
    folder = tmp_path / "evidence"
    (folder / "NotOK").mkdir(parents=True)
    file, entries = HistoryFile(folder), []
    for number in range(PARTS):
        picture = f"NotOK/part-{number}.jpg" if number < PARTS - 1 else None
        if number < PARTS - 2:
            cv2.imwrite(str(folder / f"NotOK/part-{number}.jpg"), draw_part(number, 90, defective=number % 3 == 0))
        entry = Entry(f"part-{number}", 1.8e9, "top", Verdict.NOT_OK, -0.1, None, None, None, picture)
        entries.append((entry, json.dumps(event(number, picture)).encode()))
    with file.writing() as database, database:
        add(database, entries)
    for number in range(PARTS):
        add_mark(file, f"part-{number}", Truth.BAD if number % 3 == 0 else Truth.GOOD, "Ada", f"note {number}")
    return folder


def test_good_ones_are_to_train_and_to_test_on_bad_ones_only_to_test_on(tmp_path: Path, evidence: Path) -> None:
    output = tmp_path / "marked"
    told = export(evidence, output, None, {})
    trained = {sample.path.name for sample in training_samples(str(output))}
    tested = {(sample.kind, sample.path.name) for sample in labelled_samples(str(output))}
    bad = {f"top-part-{number}.jpg" for number in (0, 3, 6, 9)}
    assert {name for kind, name in tested if kind == "bad"} == bad
    good = {f"top-part-{number}.jpg" for number in range(PARTS - 2)} - bad
    assert trained | {name for kind, name in tested if kind == "good"} == good
    assert trained
    assert trained < good
    assert not trained & {name for _kind, name in tested}
    assert "no picture is kept of 2 more marked parts" in told
    export(evidence, tmp_path / "again", None, {})
    assert {sample.path.name for sample in training_samples(str(tmp_path / "again"))} == trained


def test_other_tools_get_the_failed_tiles_and_what_was_said(tmp_path: Path, evidence: Path) -> None:
    export(evidence, tmp_path / "a", Annotations.COCO, {})
    content = json.loads((tmp_path / "a" / "coco.json").read_text())
    assert len(content["images"]) == len(content["annotations"]) == PARTS - 2
    first = next(image for image in content["images"] if image["event_id"] == "part-0")
    assert (tmp_path / "a" / first["file_name"]).is_file()
    assert (first["width"], first["was"], first["by"], first["note"]) == (90, "bad", "Ada", "note 0")
    (box,) = [each["bbox"] for each in content["annotations"] if each["image_id"] == first["id"]]
    assert box == [60, 30, 30, 30]
    export(evidence, tmp_path / "b", Annotations.LABEL_STUDIO, {})
    tasks = json.loads((tmp_path / "b" / "label-studio.json").read_text())
    assert [task["annotations"][0]["result"][0]["value"]["choices"] for task in tasks].count(["bad"]) == 4
    value = tasks[0]["predictions"][0]["result"][0]["value"]
    assert (value["x"], value["y"], value["width"]) == (66.667, 33.333, 33.333)


def test_nothing_is_overwritten_and_nothing_to_export_is_said(tmp_path: Path, evidence: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("x")
    with pytest.raises(ConfigError, match="exists already and is kept"):
        export(evidence, tmp_path / "full", None, {})
    with pytest.raises(DataError, match="no part is marked yet"):
        export(tmp_path / "none", tmp_path / "out", None, {})


def test_the_command_exports_beside_a_running_station(tmp_path: Path, evidence: Path) -> None:
    config = tmp_path / "inspection.yaml"
    content = {
        "bundle": "none",
        "station": "test-1",
        "cameras": {"top": {"kind": "folder", "path": "none"}},
        "evidence": {"folder": str(evidence)},
    }
    config.write_text(yaml.safe_dump(content))
    script = "from runtime.cli import run_inspection; run_inspection()"
    command = [sys.executable, "-c", script, "evidence", "export", str(config), "--marked", "--output"]
    done = subprocess.run([*command, str(tmp_path / "out")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{tmp_path / 'out' / 'test' / 'bad'}: 4 pictures" in done.stdout


@pytest.mark.parametrize(
    ("regions", "is_cut"),
    [({}, False), ({"top": None}, False), ({"top": (4, 4, 90, 90)}, False), ({"top": (0, 0, 120, 90)}, True)],
)
def test_what_was_said_stands_beside_the_pictures_and_what_a_bundle_cut_is_told(
    tmp_path: Path, evidence: Path, regions: dict[str, Roi | None], is_cut: bool
) -> None:
    export(evidence, tmp_path / "out", None, regions)
    pictures = [*(tmp_path / "out").rglob("*.jpg")]
    remarks = remarks_on(pictures)
    assert set(remarks) == set(pictures)
    assert {said.is_cut for said in remarks.values()} == {is_cut}
    first = remarks[tmp_path / "out/test/bad/top-part-0.jpg"]
    assert (first.was, first.by, first.note, first.verdict) == ("bad", "Ada", "note 0", "NotOK")
    samples = training_samples(str(tmp_path / "out")) + labelled_samples(str(tmp_path / "out"))
    assert {(sample.is_marked, sample.is_cut) for sample in samples} == {(True, is_cut)}
    (tmp_path / "out" / "marked.json").write_text("{")
    with pytest.raises(DataError, match=r"marked\.json: .* export the marked pictures again"):
        training_samples(str(tmp_path / "out"))
