"""A survey: what is found of a data set before anything is trained."""

import shutil
from pathlib import Path

import pytest

from training.looking.survey import survey


def test_the_test_pictures_of_a_data_set_in_the_home_folder_are_found(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    shutil.copytree(parts, tmp_path / "parts")
    assert len(survey("~/parts").test) == len(survey(str(parts)).test) > 0
