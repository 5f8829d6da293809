import csv
from pathlib import Path

import pytest

from archive.changes import changes, changes_table
from archive.rejudging import Crew
from core.errors import ArtifactError
from tests.runtime.small_bundle import write_bundle


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
