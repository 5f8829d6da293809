"""Filming: frames of one size, and a log that stays short whatever they do."""

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from runtime.cameras.camera import Camera
from runtime.cameras.files import FolderCamera
from runtime.cameras.filming import Filming
from runtime.cameras.folders.watched_folder import WatchedFolder
from runtime.cameras.settings import FolderSettings, HttpSettings
from runtime.monitoring.logfmt import Logfmt
from runtime.parts.frame import Frame
from runtime.parts.moment import Moment
from runtime.parts.verdict import Reason

SIZES = [(8, 8), (8, 9), (8, 8), (8, 10)] * 50


class Restless(Camera):
    def frames(self, stopping: threading.Event) -> Iterator[Frame]:
        for size in SIZES:
            yield Frame(np.zeros((*size, 3), np.uint8), Moment.now())


def test_of_a_camera_whose_size_changes_with_each_frame_the_log_has_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    filming = Filming("top", Restless(), HttpSettings(kind="http", url="http://10.0.0.7/"))
    faults = [filming.newest(frame).fault for frame in filming.frames(threading.Event())]
    assert faults == [None, Reason.WRONG_SIZE] * 100
    (told,) = [Logfmt().format(record) for record in caplog.records]
    assert 'msg="top: frames of another size are not judged" size=9x8 wanted=8x8 remedy="set the camera' in told


@pytest.mark.parametrize("kind", ["folder", "watch"])
def test_why_files_are_unreadable_is_told_once_though_all_are(
    caplog: pytest.LogCaptureFixture, tmp_path: Path, kind: str
) -> None:
    caplog.set_level(logging.WARNING)
    for number in range(3):
        with_alpha = np.full((8, 8, 4), number, np.uint8)
        cv2.imwrite(str(tmp_path / f"{number}.png"), with_alpha)
    camera = FolderCamera(tmp_path) if kind == "folder" else WatchedFolder(tmp_path, None, unreadable_after_s=0.0)
    filming = Filming("camera top", camera, FolderSettings(kind="folder", path=tmp_path))
    stopping = threading.Event()
    frames = filming.frames(stopping)
    assert [filming.newest(next(frames)).fault for _ in range(3)] == [Reason.UNREADABLE] * 3
    stopping.set()
    (line,) = [record.getMessage() for record in caplog.records]
    assert "camera top: a picture cannot be read" in line
    assert "0.png: " in line
    assert "transparent" in line


def test_why_a_file_of_16_bits_is_unreadable_is_told(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.WARNING)
    cv2.imwrite(str(tmp_path / "deep.png"), np.full((8, 8), 5000, np.uint16))
    filming = Filming("camera top", FolderCamera(tmp_path), FolderSettings(kind="folder", path=tmp_path))
    (frame,) = filming.frames(threading.Event())
    assert filming.newest(frame, bits=12).fault == Reason.UNREADABLE
    assert "deep.png: grey levels up to 5000 take more than 12 bits" in caplog.text
