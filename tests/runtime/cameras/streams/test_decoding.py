"""Decoding by hardware: where it is not, software decodes, and the log says who does."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import av
import cv2
import numpy as np
import pytest
from av.codec.hwaccel import hwdevices_available
from av.video.reformatter import ColorRange

from runtime.cameras.opening import open_camera
from runtime.cameras.settings import Decoding, RtspSettings, VideoSettings
from runtime.cameras.streams.decoding import Colours, obstacle, tell_decoder
from tests.runtime.cameras.streams.test_video_stream import write_film
from tests.runtime.servers import RtspServer
from tests.runtime.waiting import wait_until
from tests.runtime.watcher import Watcher

ABSENT = [kind for kind in get_args(Decoding) if obstacle(kind)]
needs_an_absent_one = pytest.mark.skipif(not ABSENT, reason="this machine decodes by every hardware")


@needs_an_absent_one
@pytest.mark.parametrize("kind", ABSENT)
@pytest.mark.parametrize("codec", ["libx264", "mjpeg"])
def test_a_film_is_decoded_by_software_where_there_is_no_such_hardware(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str, codec: str
) -> None:
    film = write_film(tmp_path / "film.mp4", codec, frames=3)
    frames: dict[str, list[Any]] = {}
    for decoding in ("software", kind):
        camera = open_camera(
            "film", VideoSettings.model_validate({"kind": "video", "path": film, "decoding": decoding})
        )
        frames[decoding] = [frame.pixels_u8 for frame in camera.frames(threading.Event())]
        camera.close()
    assert len(frames[kind]) == 3
    assert all(np.array_equal(one, other) for one, other in zip(frames[kind], frames["software"], strict=True))
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 1
    assert f"decoded by software camera=film.mp4 decoding={kind} reason=" in told[0]
    assert ("knows" in told[0]) == (kind not in hwdevices_available())


@pytest.mark.parametrize(
    ("layout", "decoder"), [("nv12", "hardware"), ("p010le", "hardware"), ("yuv420p", "software"), (None, "software")]
)
def test_the_first_picture_tells_who_decoded_it(
    caplog: pytest.LogCaptureFixture, layout: str | None, decoder: str
) -> None:
    caplog.set_level(logging.INFO)
    tell_decoder("belt", "cuda", None if layout is None else av.VideoFrame(16, 16, layout))
    assert [record.getMessage()[: len("decoded by hardware")] for record in caplog.records] == [f"decoded by {decoder}"]


@pytest.mark.parametrize(("layout", "levels"), [("yuv420p", ColorRange.MPEG), ("yuvj420p", ColorRange.JPEG)])
def test_a_picture_from_the_hardware_has_the_colours_of_one_from_software(layout: str, levels: ColorRange) -> None:
    noise = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8), (0, 0), 2)
    picture: Any = cv2.normalize(noise, np.zeros_like(noise), 0, 255, cv2.NORM_MINMAX)
    by_software = av.VideoFrame.from_ndarray(picture, format="bgr24").reformat(format=layout)
    planes = [np.frombuffer(bytes(plane), np.uint8) for plane in by_software.planes]
    by_hardware = av.VideoFrame(128, 96, "nv12")
    by_hardware.planes[0].update(planes[0].tobytes())
    by_hardware.planes[1].update(np.stack(planes[1:], axis=1).tobytes())
    by_software.color_range = by_hardware.color_range = levels
    assert np.array_equal(Colours().bgr_u8(by_hardware), Colours().bgr_u8(by_software))


@needs_an_absent_one
def test_a_stream_goes_on_by_software_and_the_log_does_not_tell_its_url(
    rtsp: RtspServer, watch: Callable[..., Watcher], caplog: pytest.LogCaptureFixture
) -> None:
    watcher = watch(RtspSettings.model_validate({"kind": "rtsp", "url": rtsp.url, "decoding": ABSENT[0]}))
    wait_until(lambda: watcher.seen() >= 2)
    watcher.stop()
    told = [record.getMessage() for record in caplog.records]
    assert any(f"decoded by software camera=top decoding={ABSENT[0]}" in words for words in told), told
    assert rtsp.url not in caplog.text
