"""Filming: frames of one size, and a log that stays short whatever they do."""

import logging
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from runtime.cameras.camera import Camera
from runtime.cameras.filming import Filming
from runtime.cameras.settings import HttpSettings
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
    assert [record.getMessage() for record in caplog.records] == ["frames of 9 x 8, not 8 x 8: not judged top"]
