"""What a camera is opened with."""

import os
import time
from pathlib import Path
from typing import Any

import cv2
import pytest

from runtime.cameras.opening import V4L2_TIMEOUT
from runtime.cameras.settings import V4l2Settings
from tests.runtime.flapping import Flapping
from tests.runtime.waiting import wait_until
from tests.runtime.watcher import Watcher


def test_a_device_is_opened_at_the_resolution_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """There is no device here: this holds what OpenCV is asked for, and nothing that it refuses for Video4Linux."""
    asked: list[Any] = []

    class Device(Flapping):
        def __init__(self, *options: Any) -> None:
            super().__init__(1000)
            asked.extend(options)

        def isOpened(self) -> bool:  # noqa: N802
            return True

        def set(self, key: int, value: float) -> None:
            asked.append((key, value))

        def get(self, key: int) -> float:
            assert key == cv2.CAP_PROP_POS_MSEC
            return time.monotonic() * 1000

    monkeypatch.setattr(cv2, "VideoCapture", Device)
    monkeypatch.delenv(V4L2_TIMEOUT, raising=False)
    (tmp_path / "video0").touch()
    settings = {"kind": "v4l2", "device": tmp_path / "video0", "resolution": (1280, 720)}
    watchers = [Watcher(V4l2Settings.model_validate({**settings, "timeout_s": timeout_s})) for timeout_s in (6.5, 2.0)]
    wait_until(lambda: all(watcher.frames for watcher in watchers))
    for watcher in watchers:
        watcher.stop()
    assert os.environ[V4L2_TIMEOUT] == "7"
    size = [cv2.CAP_PROP_FRAME_WIDTH, 1280, cv2.CAP_PROP_FRAME_HEIGHT, 720]
    assert asked[:4] == [str(tmp_path / "video0"), cv2.CAP_V4L2, size, (cv2.CAP_PROP_BUFFERSIZE, 1)]
