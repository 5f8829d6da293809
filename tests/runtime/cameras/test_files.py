"""Cameras: what a folder and a video give, and what is said of what cannot be read."""

import json
import os
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import CameraError
from runtime.cameras.files import FolderCamera, VideoCamera, printable
from runtime.cameras.folders.watched_folder import WatchedFolder
from runtime.cameras.opening import open_camera
from runtime.cameras.settings import FolderSettings
from runtime.events.encoding import dumps
from runtime.parts.verdict import Reason
from tests.runtime.cameras.streams.test_video_stream import write_film
from tests.runtime.pictures import good_picture, write_pictures, write_video

RUN = threading.Event()
"""Not set: go on."""


def test_a_folder_gives_every_picture_in_name_order(tmp_path: Path) -> None:
    write_pictures(tmp_path / "b", 2)
    write_pictures(tmp_path / "a", 1)
    camera = open_camera("top", FolderSettings(kind="folder", path=tmp_path))
    assert camera.frames_total == 3
    assert [frame.source for frame in camera.frames(RUN)] == ["a/00000.png", "b/00000.png", "b/00001.png"]


def test_pictures_of_every_mode_come_as_bgr(tmp_path: Path) -> None:
    grey = np.full((10, 12), 100, np.uint8)
    cv2.imwrite(str(tmp_path / "grey.png"), grey)
    cv2.imwrite(str(tmp_path / "rgba.png"), np.dstack([grey, grey, grey, np.full_like(grey, 255)]))
    for frame in FolderCamera(tmp_path).frames(RUN):
        assert frame.pixels_u8 is not None
        assert frame.pixels_u8.shape == (10, 12, 3)
        assert (frame.pixels_u8 == 100).all()


def test_a_corrupt_picture_is_a_frame_without_pixels(tmp_path: Path) -> None:
    write_pictures(tmp_path, 3)
    whole = (tmp_path / "00001.png").read_bytes()
    (tmp_path / "00001.png").write_bytes(whole[: len(whole) // 2])
    frames = list(FolderCamera(tmp_path).frames(RUN))
    assert [frame.fault for frame in frames] == [None, Reason.UNREADABLE, None]
    assert frames[1].pixels_u8 is None
    assert frames[1].source == "00001.png"


def test_a_name_that_is_not_utf8_can_be_told_of_and_moved(tmp_path: Path) -> None:
    write_pictures(tmp_path / "inbox", 1)
    named = tmp_path / "inbox" / os.fsdecode(b"caf\xe9-7.png")
    (tmp_path / "inbox" / "00000.png").rename(named)
    (frame,) = FolderCamera(tmp_path / "inbox").frames(RUN)
    assert frame.source == "caf\\xe9-7.png"
    assert frame.fault is None
    camera = WatchedFolder(tmp_path / "inbox", tmp_path / "done")
    frames = camera.frames(RUN)
    frame = next(frames)
    assert frame.source == "caf\\xe9-7.png"
    assert frame.cause is not None
    camera.judged(frame.cause)
    frames.close()  # type: ignore[attr-defined]
    assert (tmp_path / "done" / named.name).is_file()
    assert not named.exists()


def test_a_picture_that_vanishes_is_a_frame_without_pixels(tmp_path: Path) -> None:
    write_pictures(tmp_path, 2)
    camera = FolderCamera(tmp_path)
    (tmp_path / "00000.png").unlink()
    assert [frame.fault for frame in camera.frames(RUN)] == [Reason.UNREADABLE, None]


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()])
def test_a_folder_that_is_missing_or_empty_is_refused(tmp_path: Path, make: object) -> None:
    assert callable(make)
    make(tmp_path / "pictures")
    with pytest.raises(CameraError, match="pictures"):
        FolderCamera(tmp_path / "pictures")


def test_a_video_gives_every_frame(tmp_path: Path) -> None:
    camera = VideoCamera(write_video(tmp_path / "v.avi", 12))
    assert camera.frames_total == 12
    frames = list(camera.frames(RUN))
    camera.close()
    assert [frame.source for frame in frames] == [f"v.avi#{number}" for number in range(12)]
    levels = [float(frame.pixels_u8.mean()) for frame in frames if frame.pixels_u8 is not None]
    assert levels == pytest.approx([number * 10 for number in range(12)], abs=3)
    assert [frame.captured.s for frame in frames] == sorted(frame.captured.s for frame in frames)


def test_a_video_that_is_missing_or_no_video_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="no such video"):
        VideoCamera(tmp_path / "v.avi")
    (tmp_path / "v.avi").write_bytes(good_picture(1).tobytes())
    with pytest.raises(CameraError, match="finds no video"):
        VideoCamera(tmp_path / "v.avi")


def test_of_a_video_every_third_frame_can_be_judged(tmp_path: Path) -> None:
    camera = VideoCamera(write_video(tmp_path / "v.avi", 11), judge_every=3)
    assert camera.frames_total == 4
    assert [frame.source for frame in camera.frames(RUN)] == ["v.avi#0", "v.avi#3", "v.avi#6", "v.avi#9"]
    camera.close()


@given(st.binary(min_size=1, max_size=255).filter(lambda name: not {0, ord("/")} & set(name)))
def test_whatever_a_file_is_called_an_event_can_tell_it(name: bytes) -> None:
    told = dumps({"source": printable(Path(os.fsdecode(name)))})
    assert json.loads(told)["source"]


def test_a_film_that_is_still_being_written_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Of MPEG-TS nothing else shows it: its end is wherever the file ends."""
    film = write_film(tmp_path / "film.ts")
    content = film.read_bytes()
    film.write_bytes(content[: len(content) // 2])
    camera = VideoCamera(film)
    film.write_bytes(content)
    assert list(camera.frames(RUN))
    camera.close()
    assert "film was written to while it was read" in caplog.text


def test_a_folder_in_which_a_link_leads_to_what_is_kept_is_refused(tmp_path: Path) -> None:
    kept = tmp_path / "evidence" / "NotOK"
    write_pictures(kept / "2026-11-28", 1)
    write_pictures(tmp_path / "parts", 1)
    (tmp_path / "parts" / "link").symlink_to(tmp_path / "evidence")
    settings = FolderSettings(kind="folder", path=tmp_path / "parts")
    with pytest.raises(CameraError, match="link/NotOK/2026-11-28: is what this station keeps"):
        open_camera("top", settings, [kept])
    assert open_camera("top", settings, [tmp_path / "parts"]).frames_total == 2, "which no link leads to"
    (tmp_path / "parts" / "link").unlink()
    (tmp_path / "parts" / "one.png").symlink_to(next(kept.rglob("*.png")))
    assert open_camera("top", settings, [kept]).frames_total == 2, "one picture, which somebody asks about, is no ring"
