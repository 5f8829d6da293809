"""Undeveloped frames: colours are worked out of those alone that are judged, and frozen ones are found without."""

import threading

import av
import cv2
import numpy as np
import pytest

from runtime.cameras.filming import Filming
from runtime.cameras.opening import open_camera
from runtime.cameras.settings import HttpSettings
from runtime.cameras.streams.decoding import Colours
from runtime.cameras.streams.undeveloped import Decoded, Jpeg
from runtime.parts.verdict import Reason
from tests.runtime.servers import MjpegServer
from tests.runtime.waiting import wait_until

SIZE = (36, 50)
PLANAR = {"yuv420p": 12, "yuvj422p": 16, "yuv444p": 24, "yuv422p10le": 32, "nv12": 12, "p010le": 24, "gbrp": 24}
PACKED = {"gray": 8, "gray16le": 16, "yuyv422": 16, "bgr24": 24}
"""Bits of a pixel."""


def filmed(layout: str, level: int = 90) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(np.full((*SIZE, 3), level, np.uint8), format="bgr24").reformat(format=layout)


@pytest.mark.parametrize(("layout", "bits"), (PLANAR | PACKED).items())
def test_all_that_a_frame_shows_is_compared_and_nothing_of_what_pads_its_lines(layout: str, bits: int) -> None:
    rows = Decoded(filmed(layout), Colours()).rows()
    assert sum(each.nbytes for each in rows) == SIZE[0] * SIZE[1] * bits // 8
    other = Decoded(filmed(layout, 91), Colours()).rows()
    assert not all(map(np.array_equal, rows, other))


def test_the_time_that_a_camera_writes_into_its_pictures_does_not_make_them_others() -> None:
    content = cv2.imencode(".jpg", np.full((*SIZE, 3), 90, np.uint8))[1].tobytes()
    comment = b"\xff\xfe\x00\x0a12:00:00"
    (rows,) = Jpeg(content).rows()
    (commented,) = Jpeg(content[:2] + comment + content[2:]).rows()
    assert np.array_equal(rows, commented)
    (other,) = Jpeg(cv2.imencode(".jpg", np.full((*SIZE, 3), 190, np.uint8))[1].tobytes()).rows()
    assert not np.array_equal(rows, other)


def test_a_frame_that_a_newer_one_displaces_is_not_developed(
    mjpeg: MjpegServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    developed: list[Jpeg] = []
    develop = Jpeg.pixels_bgr_u8
    monkeypatch.setattr(Jpeg, "pixels_bgr_u8", lambda self: (developed.append(self), develop(self))[1])
    settings = HttpSettings(kind="http", url=mjpeg.url)
    camera = open_camera("top", settings)
    filming, stopping = Filming("top", camera, settings), threading.Event()
    waiting = next(filming.frames(stopping))
    status = camera.status
    wait_until(lambda: (now := status()) is not None and now.dropped >= 10)
    assert not developed
    frame = filming.newest(waiting)
    assert frame.pixels_u8 is not None
    assert frame.fault is None
    assert len(developed) == 1
    camera.close()


def test_what_turns_out_to_be_damaged_when_it_is_judged_is_unreadable(mjpeg: MjpegServer) -> None:
    mjpeg.damaged.set()
    settings = HttpSettings(kind="http", url=mjpeg.url)
    camera = open_camera("top", settings)
    filming = Filming("top", camera, settings)
    frame = filming.newest(next(filming.frames(threading.Event())))
    assert (frame.pixels_u8, frame.fault) == (None, Reason.UNREADABLE)
    camera.close()
