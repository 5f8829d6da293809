import errno
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.datasets.dataset import labelled_samples, training_samples
from tests.pictures import write_picture


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    for grey, name in enumerate(("train/good/1", "test/good/1", "test/dent/1", "ground_truth/dent/1_mask")):
        write_picture(tmp_path / f"{name}.png", np.full((8, 8, 3), grey, np.uint8))
    return tmp_path


def test_where_all_is_read_nothing_is_said(parts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    training_samples(str(parts))
    labelled_samples(str(parts))
    assert capsys.readouterr().err == ""


def test_a_kind_without_pictures_is_told(parts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (parts / "test" / "scratch").mkdir()
    (parts / "test" / "scratch" / "list.txt").write_text("1.png")
    labelled_samples(str(parts / "test"))
    assert capsys.readouterr().err == f"warning: {parts}/test/scratch: no pictures to test with.\n"


@pytest.mark.parametrize("name", ["dent/1.png", "dents/1_mask.png", "dent/2_mask.png", "dent/1_mask.jpg"])
def test_a_mask_of_another_name_is_told(name: str, parts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for place in (name, f"more/{name}"):
        write_picture(parts / "ground_truth" / place, np.full((8, 8), 255, np.uint8))
    labelled_samples(str(parts))
    told = f"ground_truth/{name} and 1 more: no mask of a picture, as ground_truth/dent/1_mask.png is of test/dent/1"
    assert told in capsys.readouterr().err


def test_pictures_beside_those_that_train_are_told(parts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for place in ("train/bad/1.png", "train/2.png"):
        write_picture(parts / place, np.zeros((8, 8, 3), np.uint8))
    (parts / "train" / "empty").mkdir()
    assert [sample.path for sample in training_samples(str(parts))] == [parts / "train" / "good" / "1.png"]
    told = f"warning: {parts}/train/2.png and 1 more: not read, since train/good alone trains.\n"
    assert capsys.readouterr().err == told


@pytest.mark.parametrize("name", ["1.CR2", "1.raw", "1", "1.jpg_large", "more/1.tmp.png"])
@pytest.mark.parametrize("read", ["training", "labelled", "plain"])
def test_what_looks_like_a_picture_and_is_not_called_so_is_told(
    name: str, read: str, parts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = parts / ("test" if read == "labelled" else "train") / "good"
    (folder / name).parent.mkdir(exist_ok=True)
    shutil.copy(folder / "1.png", folder / name)
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden").write_bytes((folder / "1.png").read_bytes())
    (folder / "around").symlink_to(folder)
    (training_samples if read == "training" else labelled_samples)(str(folder if read == "plain" else parts))
    told = "looks like a picture, and is not read; save it as .png, .jpg, .tif, .bmp or .webp"
    assert capsys.readouterr().err == f"warning: {folder / name}: {told}.\n"


@pytest.mark.parametrize("closed", ["train", "train/lost+found"])
def test_a_folder_that_may_not_be_looked_into_keeps_nobody_from_training(
    closed: str, parts: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (parts / "train" / "lost+found").mkdir()
    scandir = os.scandir

    def guarded(folder: Path) -> Any:
        if folder == parts / closed:
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", guarded)
    assert [sample.path for sample in training_samples(str(parts))] == [parts / "train" / "good" / "1.png"]
    assert capsys.readouterr().err == ""
