"""Devices of Video4Linux: what they send is shown as it is, and what did not come whole is not judged."""

import errno
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.runtime.video4linux import DAMAGED, Device, Shot

pytestmark = pytest.mark.machine
WIDTH, HEIGHT = SIZE = 64, 48
SETTLED_MS = 700
"""The first half second of a connection is not judged."""

READ = """
from runtime.cameras.streams.video_stream import VideoStream
stream = VideoStream(path, {}, 5.0, is_device=True)
told = []
while stream.grab():
    pixels = stream.retrieve()[1]
    told.append(None if pixels is None else pixels.tolist())
stream.release()
"""
WATCH = """
import time
from runtime.cameras.settings import V4l2Settings
from tests.runtime.waiting import wait_until
from tests.runtime.watcher import Watcher
watcher = Watcher(V4l2Settings.model_validate({"kind": "v4l2", "device": path, **eval(arguments[0])}))
reasons = lambda: [status.reason for status in seen]
seen = []
def look():
    status = watcher.camera.status()
    if not seen or status.reason != seen[-1].reason:
        seen.append(status)
    return status.reconnects >= int(arguments[1])
wait_until(look)
told = ([(str(status.state), status.reason) for status in seen], [frame.fault for frame in watcher.frames])
"""
DISPLACED = """
import threading
from runtime.cameras.streams import undeveloped
from runtime.cameras.filming import Filming
from runtime.cameras.opening import open_camera
from runtime.cameras.settings import V4l2Settings
from tests.runtime.waiting import wait_until
developed = []
for kind in (undeveloped.Decoded, undeveloped.Jpeg):
    def develop(self, before=kind.pixels_bgr_u8):
        developed.append(self)
        return before(self)
    kind.pixels_bgr_u8 = develop
settings = V4l2Settings.model_validate({"kind": "v4l2", "device": path})
camera = open_camera("top", settings)
filming = Filming("top", camera, settings)
waiting = next(filming.frames(threading.Event()))
wait_until(lambda: camera.status().dropped >= 10)
before = len(developed)
frame = filming.newest(waiting)
told = (before, len(developed), frame.pixels_u8.shape)
"""


AGAIN = """
from runtime.cameras.streams.video_stream import VideoStream
files, kept = [], []
for _ in range(12):
    stream = VideoStream(path, {}, 5.0, is_device=True)
    while stream.grab():
        kept.append(stream.undeveloped)
    stream.release()
    files.append(len(os.listdir("/proc/self/fd")))
told = (files[-1] - files[0], [int(each.pixels_bgr_u8().mean()) for each in kept])
"""


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path)


def in_turn(grey: int) -> bytes:
    return np.full((HEIGHT, WIDTH, 2), (grey, 128), np.uint8).tobytes()


def jpeg(grey: int) -> bytes:
    noise = np.random.default_rng(grey).integers(0, 40, (HEIGHT, WIDTH, 3)) + grey
    return cv2.imencode(".jpg", noise.astype(np.uint8))[1].tobytes()


def as_frame(pixels_bgr_u8: NDArray[np.uint8]) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(pixels_bgr_u8, format="bgr24").reformat(format="yuv420p")


def scene(*shape: int) -> Any:
    small = np.random.default_rng(1).integers(40, 200, (6, 8, *shape[2:]))
    return cv2.resize(small.astype(np.uint8), shape[1::-1], interpolation=cv2.INTER_LINEAR).reshape(shape)


@pytest.mark.parametrize(
    ("layout", "shape", "code"),
    [
        ("YUYV", (HEIGHT, WIDTH, 2), cv2.COLOR_YUV2BGR_YUYV),
        ("UYVY", (HEIGHT, WIDTH, 2), cv2.COLOR_YUV2BGR_UYVY),
        ("YU12", (HEIGHT * 3 // 2, WIDTH), cv2.COLOR_YUV2BGR_IYUV),
        ("NV12", (HEIGHT * 3 // 2, WIDTH), cv2.COLOR_YUV2BGR_NV12),
        ("RGB3", (HEIGHT, WIDTH, 3), cv2.COLOR_RGB2BGR),
        ("BGR3", (HEIGHT, WIDTH, 3), None),
        ("GREY", (HEIGHT, WIDTH), cv2.COLOR_GRAY2BGR),
    ],
)
def test_each_layout_is_shown_in_its_own_colours(
    device: Device, layout: str, shape: tuple[int, ...], code: int | None
) -> None:
    sent = scene(*shape)
    device.has(layout, SIZE, [Shot(sent.tobytes())] * 3)
    shown = device.film(READ)
    assert len(shown) == 3
    expected = sent if code is None else cv2.cvtColor(sent, code)
    assert np.abs(np.array(shown[-1]) - expected).mean() < 3


def test_of_motion_jpeg_what_lost_data_is_not_shown(device: Device) -> None:
    whole = jpeg(100)
    shots = [whole, whole[: len(whole) // 2], b"no picture" * 9, b"", whole, jpeg(140)]
    device.has("MJPG", SIZE, [Shot(content, DAMAGED * (number == 4)) for number, content in enumerate(shots)])
    shown = device.film(READ)
    assert [each is not None for each in shown] == [True, False, False, False, False, True]


def test_a_frame_that_came_in_part_is_not_filled_up_with_the_one_before(device: Device) -> None:
    shots = [Shot(in_turn(60)), Shot(in_turn(90)[:-WIDTH]), Shot(in_turn(120), DAMAGED), Shot(b""), Shot(in_turn(180))]
    device.has("YUYV", SIZE, shots)
    shown = device.film(READ)
    assert [each is not None for each in shown] == [True, False, False, False, True]
    assert np.min(shown[-1]) > np.max(shown[0])


def test_of_h264_nothing_is_shown_that_builds_on_a_damaged_frame(device: Device) -> None:
    codec: Any = av.CodecContext.create("libx264", "w")
    codec.width, codec.height = SIZE
    codec.pix_fmt, codec.time_base, codec.gop_size = "yuv420p", Fraction(1, 25), 6
    codec.options = {"tune": "zerolatency", "x264-params": "scenecut=0:sps-id=0"}
    pictures = [np.roll(scene(HEIGHT, WIDTH, 3), 2 * number, 1) for number in range(12)]
    packets = [bytes(packet) for each in pictures for packet in codec.encode(as_frame(each))]
    device.has("H264", SIZE, [Shot(content, DAMAGED * (number == 2)) for number, content in enumerate(packets)])
    shown = [each is not None for each in device.film(READ)]
    assert shown == [True, True, *[False] * 3, *[True] * 6]  # FFMPEG hands on nothing of the damaged one itself


@pytest.mark.parametrize("layout", ["YUYV", "MJPG"])
def test_a_frame_that_a_newer_one_displaces_is_not_developed(device: Device, layout: str) -> None:
    content = {"YUYV": in_turn, "MJPG": jpeg}[layout]
    device.has(layout, SIZE, [Shot(content(60), 0, SETTLED_MS), *(Shot(content(60 + n)) for n in range(60))])
    assert device.film(DISPLACED) == [0, 1, [HEIGHT, WIDTH, 3]]


def test_a_device_that_falls_silent_is_given_up_and_one_that_is_gone_at_once(device: Device) -> None:
    frames = [Shot(in_turn(90 + number), 0, SETTLED_MS // 4) for number in range(12)]
    device.has("YUYV", SIZE, [*frames, Shot(in_turn(60), 0, 600_000)])
    states, faults = device.film(WATCH, '{"timeout_s": 2, "stale_after_s": 60}', "2")
    assert ["reconnecting", "the stream ended, or gave nothing in time"] in states
    assert faults.count(None) >= 1
    device.has("YUYV", SIZE, frames)
    states, faults = device.film(WATCH, '{"timeout_s": 600, "stale_after_s": 60}', "2")
    assert ["streaming", ""] in states
    assert faults.count(None) >= 1


def test_connecting_again_and_again_leaves_no_file_open_and_frames_outlive_their_connection(device: Device) -> None:
    device.has("YUYV", SIZE, [Shot(in_turn(60), 0, 1), Shot(in_turn(180), 0, 1)])
    files_left, brightness = device.film(AGAIN)
    assert files_left == 0
    assert len(brightness) == 24
    assert len(set(brightness)) == 2


@pytest.mark.parametrize("layout", ["YUYV", "MJPG"])
def test_a_device_that_is_silent_from_the_start_is_given_up(device: Device, layout: str) -> None:
    device.has(layout, SIZE, [Shot({"YUYV": in_turn, "MJPG": jpeg}[layout](90), 0, 600_000)])
    states, _faults = device.film(WATCH, '{"timeout_s": 0.3, "stale_after_s": 60}', "2")
    assert ["reconnecting", "connected, and waits for its first frame"] in states
    assert states[-1] == ["reconnecting", "the stream ended, or gave nothing in time"]


def test_it_is_asked_for_the_resolution_that_the_settings_name(device: Device) -> None:
    device.has("YUYV", SIZE, [Shot(in_turn(90), 0, SETTLED_MS)])
    device.film(WATCH, '{"resolution": (1280, 720), "stale_after_s": 60}', "1")
    assert device.asked[0] == "1280 x 720"


@pytest.mark.parametrize(
    ("refusal", "remedy"),
    [
        (errno.EACCES, "Permission denied: let the station's user into the group `video`"),
        (errno.EBUSY, "Device or resource busy: end the other program that has it open"),
        (errno.ENODEV, "No such device: it gives no pictures; take another /dev/video of this camera"),
    ],
)
def test_a_device_that_cannot_be_opened_says_what_to_do(device: Device, refusal: int, remedy: str) -> None:
    device.has("YUYV", SIZE, [Shot(in_turn(90))])
    device.refuses(refusal)
    states, _faults = device.film(WATCH, "{}", "1")
    assert states[-1] == ["reconnecting", f"cannot be opened ({remedy})"]
