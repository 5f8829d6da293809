import csv
import json
import shutil
from pathlib import Path

import cv2
import pytest

from archive.changes import changes, changes_table
from archive.plan import make_plan
from archive.rejudging import Crew, judge_missing, rejudge
from core.errors import ArtifactError
from runtime.bundles.bundle import load_bundle, save_manifest
from tests.runtime.pictures import good_picture
from tests.runtime.small_bundle import write_bundle


@pytest.mark.usefixtures("judged_in_this_process")
def test_changed_verdicts_are_counted_and_each_is_named(bundle: Path, pictures: Path, tmp_path: Path) -> None:
    darker = write_bundle(tmp_path / "darker", grey=100)
    output = tmp_path / "changes.csv"
    found = changes(bundle, darker, [pictures], output, Crew(1))
    assert found.pairs == {("OK", "NotOK"): 30, ("NotOK", "NotOK"): 9, ("NotDecidable", "NotDecidable"): 1}
    assert (found.changed, found.reject_rate(0), found.reject_rate(1)) == (30, 9 / 39, 1.0)
    lines = [*csv.DictReader(output.read_text().splitlines())]
    assert [line["file"] for line in lines] == [str(pictures / f"{number:05}.png") for number in range(30)]
    assert all(float(line["old_score"]) <= 1 < float(line["new_score"]) for line in lines)
    table = changes_table(found)
    assert table.title == "30 of 40 verdicts would change"
    assert table.caption == "rejected of decided: 23.08% -> 100.00%"
    assert not [*tmp_path.glob("*.work")]


def test_changes_that_cannot_be_written_whole_leave_nothing(
    bundle: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged_twice = ("archive.changes.judge_missing", lambda *_: None)
    monkeypatch.setattr(*judged_twice)  # so that rows are missing when changes are written
    with pytest.raises(FileNotFoundError, match="shard-000000"):
        changes(bundle, bundle, [pictures], tmp_path / "changes.csv", Crew(1))
    assert not [*tmp_path.glob("*.csv"), *tmp_path.glob(".*")]


def test_a_new_bundle_that_is_no_good_is_told_before_the_old_one_judges(
    bundle: Path, pictures: Path, tmp_path: Path
) -> None:
    with pytest.raises(ArtifactError):
        changes(bundle, tmp_path / "absent", [pictures], tmp_path / "changes.csv", Crew(1))
    assert not [*tmp_path.rglob("shard-*")]


@pytest.mark.usefixtures("judged_in_this_process")
def test_pictures_that_differ_from_all_that_trained_are_told_in_a_sentence_each_and_in_their_rows(
    bundle: Path, pictures: Path, tmp_path: Path
) -> None:
    pictures = Path(shutil.copytree(pictures, tmp_path / "pictures"))
    for number in (3, 4):
        cv2.imwrite(str(pictures / f"{number:05}.png"), good_picture(number)[:, :, 0])
    wide = write_bundle(tmp_path / "wide")
    manifest = load_bundle(wide).manifest
    save_manifest(
        wide, manifest.model_copy(update={"provenance": {"training": {"aspects": [1.78], "colours": ["coloured"]}}})
    )
    told = rejudge(wide, [pictures], tmp_path / "all.jsonl", Crew(1))
    rows = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert [bool(row["other_shape"]) for row in rows] == [False] + [True] * 39  # the damaged one comes first
    colour, shape = told.warning.splitlines()
    assert shape.startswith("warning: 39 of 40 pictures are squeezed, such as")
    assert colour.startswith("warning: 2 of 40 pictures differ in colour, such as")
    assert [row["file"] for row in rows if row["other_colour"]] == [
        str(pictures / f"{number:05}.png") for number in (3, 4)
    ]
    assert f"{pictures / '00000.png'} (1 times as wide as high, and what trained 1.78)" in told.warning
    found = changes(bundle, wide, [pictures], tmp_path / "changes.csv", Crew(1))
    assert (found.old_warning, found.new_warning) == ("", told.warning)


@pytest.mark.parametrize("name", ["all.csv", "all.jsonl"])
@pytest.mark.usefixtures("judged_in_this_process")
def test_rows_that_another_version_judged_before_an_interruption_are_taken(
    bundle: Path, pictures: Path, tmp_path: Path, name: str
) -> None:
    plan = make_plan(bundle, [pictures], tmp_path / f"{name}.work", 30)
    judge_missing(plan, Crew(1), "judging")
    rows = [json.loads(line) for line in plan.rows_of(0).read_text().splitlines()]
    for row in rows:
        del row["other_shape"], row["other_colour"]
    plan.keep(0, "".join(f"{json.dumps(row)}\n" for row in rows))
    rejudge(bundle, [pictures], tmp_path / name, Crew(1), shard_pictures=30)
    written = (tmp_path / name).read_text().splitlines()
    lines = [*csv.DictReader(written)] if name == "all.csv" else [json.loads(line) for line in written]
    assert [line["other_shape"] + line["other_colour"] for line in lines] == [""] * 40
    assert all(list(line) == list(lines[0]) for line in lines)
