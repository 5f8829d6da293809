"""What lies in a folder of pictures and is none: it is told by name, and nobody waits for it."""

import os
import socket
import stat
from pathlib import Path

import cv2
import numpy as np
import pytest

from core.datasets.dataset import labelled_samples, training_samples
from core.datasets.frames import read_frames
from core.errors import DataError
from core.pictures.geometry import ModelInput
from core.pictures.picture import find_pictures, list_folder, list_pictures, read_picture
from runtime.cameras.files import read_frame
from runtime.parts.verdict import Reason

ODD = ["device.png", "gone", "itself.jpg", "nothing.png", "pipe.png", "socket.bmp"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One picture, and much that is none."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    cv2.imwrite(str(folder / "part.png"), np.zeros((9, 9, 3), np.uint8))
    os.mkfifo(folder / "pipe.png")
    (folder / "nothing.png").symlink_to(tmp_path / "away.png")
    (folder / "itself.jpg").symlink_to(folder / "itself.jpg")
    (folder / "gone").symlink_to(tmp_path / "not mounted")
    (folder / "device.png").symlink_to("/dev/zero")
    (folder / "notes.txt").symlink_to(tmp_path / "no picture's name")
    (folder / ".hidden").symlink_to(tmp_path / "hidden")
    with socket.socket(socket.AF_UNIX) as listening:
        here = os.getcwd()
        os.chdir(folder)  # a socket's path has 107 bytes
        try:
            listening.bind("socket.bmp")
        finally:
            os.chdir(here)
    assert stat.S_ISSOCK((folder / "socket.bmp").stat().st_mode)
    return folder


def test_what_is_called_like_a_picture_and_is_no_file_is_listed_and_refused_by_name(folder: Path) -> None:
    assert [path.name for path in list_pictures(folder)] == sorted([*ODD, "part.png"])
    for name in ODD:
        with pytest.raises(DataError, match=f"{name}: .*no file"):
            read_picture(folder / name)
        assert read_frame(folder / name, folder).fault is Reason.UNREADABLE


def test_training_and_evaluation_name_and_count_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for listed in (training_samples, labelled_samples):
        frames = read_frames(listed(str(folder)), ModelInput(height=8, width=8))
        assert [sample.path.name for sample in frames.samples] == ["part.png"]
        assert sorted(path.name for path in frames.skipped) == ODD
        said = capsys.readouterr().err
        assert all(f"skipped: {folder / name}: " in said for name in ODD)


def test_a_watched_folder_gets_it_apart(folder: Path) -> None:
    odd: list[Path] = []
    assert [path.name for path, _is_folder in list_folder(folder, odd)] == ["part.png"]
    assert sorted(path.name for path in odd) == ODD


def test_a_folder_that_cannot_be_looked_through_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "theirs").mkdir()
    look = os.scandir

    def denied(path: Path) -> object:
        if path.name == "theirs":
            raise PermissionError(13, "Permission denied", str(path))
        return look(path)

    monkeypatch.setattr("core.pictures.picture.os.scandir", denied)  # root may look through every folder
    with pytest.raises(DataError, match=r"theirs: cannot be searched \(Permission denied\)"):
        list_pictures(folder)
    with pytest.raises(DataError, match="theirs"):
        list(find_pictures(folder))


def test_what_becomes_a_pipe_after_it_was_looked_at_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what looks like a file to the end, as the kernel's /proc/kmsg, nothing is waited for either."""
    os.mkfifo(tmp_path / "part.png")
    monkeypatch.setattr(Path, "is_file", lambda _path: True)
    with pytest.raises(DataError, match="not a whole picture"):
        read_picture(tmp_path / "part.png")
