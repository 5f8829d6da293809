"""A survey: what is found of a data set before anything is trained."""

import shutil
import sys
from pathlib import Path

import pytest

from tests.full_disk import full_disk
from training.cli import train_model
from training.looking.survey import survey


def test_the_test_pictures_of_a_data_set_in_the_home_folder_are_found(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    shutil.copytree(parts, tmp_path / "parts")
    assert len(survey("~/parts").test) == len(survey(str(parts)).test) > 0


def test_a_test_picture_that_cannot_be_read_is_told_and_not_among_those_to_be_tested(
    parts: Path, tmp_path: Path
) -> None:
    shutil.copytree(parts, tmp_path / "parts")
    before = survey(str(parts))
    spoilt = before.test[-1].path.relative_to(parts)
    (tmp_path / "parts" / spoilt).write_bytes(b"\x89PNG broken")
    found = survey(str(tmp_path / "parts"))
    assert (len(found.test), len(found.unreadable)) == (len(before.test) - 1, 1)
    assert found.unreadable[0].startswith(str(tmp_path / "parts" / spoilt))


def test_of_a_disk_that_is_full_init_leaves_nothing_that_the_next_one_would_keep(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "new" / "my-part.yaml"
    monkeypatch.setattr(sys, "argv", ["train-model", "init", str(parts), "--output", str(config)])
    with full_disk(100), pytest.raises(SystemExit) as end:
        train_model()
    assert end.value.code == 2
    assert f"error: {tmp_path}/new/my-part." in capsys.readouterr().err
    assert not [*config.parent.iterdir()]
