"""Feeds: from a camera's frame to a row of a batch."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.datasets.dataset import Sample
from core.datasets.frames import read_frames
from core.pictures.geometry import ModelInput, Pose, Roi
from runtime.batching.batcher import Batcher
from runtime.batching.feed import Feed
from runtime.batching.filling import fill
from runtime.batching.fitting import fit_on_cpu
from runtime.batching.task import Assign, Task
from runtime.cameras.camera import Camera
from runtime.cameras.files import FolderCamera
from runtime.cameras.folders.watched_folder import WatchedFolder
from runtime.cameras.settings import CameraSettings, FolderSettings, V4l2Settings, VideoSettings
from runtime.parts.frame import Frame
from runtime.parts.moment import Moment
from runtime.parts.part import Picture
from runtime.parts.verdict import Reason
from tests.runtime.pictures import good_picture, write_pictures

WAIT_S = 10.0
SEEN = ModelInput(8, 8)
TOP = Task("top", SEEN)
LONG = Task("top", replace(SEEN, pose=Pose((30, 10))))
"""Its parts are turned straight."""


def seeing(seen: ModelInput) -> Assign:
    return lambda stream, _trigger: Task(stream, seen)


def camera_settings(**changed: object) -> FolderSettings:
    return FolderSettings.model_validate({"kind": "folder", "path": "p", **changed})


def frame(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Frame:
    return Frame(pixels, Moment(1.0, 2.0), "x.png")


def test_a_frame_is_cropped_and_resized_into_the_row_itself() -> None:
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[10:30, 20:40] = 200
    buffer = np.zeros((2, 10, 10, 3), np.uint8)
    part = fill(TOP, buffer[1], frame(pixels), camera_settings(), (20, 10, 20, 20))
    assert (buffer[1] == 200).all()
    assert (buffer[0] == 0).all()
    assert (part.size, part.source, part.faults) == ((60, 40), "x.png", ())


@pytest.mark.parametrize(
    ("pixels", "roi", "fault"),
    [
        (np.zeros((20, 20, 3), np.uint8), None, Reason.BLACK),
        (np.full((20, 20, 3), 255, np.uint8), None, Reason.OVEREXPOSED),
        (good_picture(0), (40, 0, 20, 20), Reason.ROI_OUTSIDE),
    ],
)
def test_a_frame_that_shows_nothing_is_marked(
    pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], roi: Roi | None, fault: Reason
) -> None:
    part = fill(TOP, np.zeros((8, 8, 3), np.uint8), frame(pixels), camera_settings(), roi)
    assert part.faults == (fault,)


@pytest.mark.parametrize(("own", "shown"), [(None, (1, 2, 20, 10)), ((0, 0, 5, 5), (0, 0, 5, 5))])
def test_the_bundles_region_is_judged_where_the_camera_has_none(own: Roi | None, shown: Roi) -> None:
    pixels = np.arange(40 * 60 * 3, dtype=np.uint32).astype(np.uint8).reshape(40, 60, 3)
    task = Task("top", ModelInput(8, 8, roi=(1, 2, 20, 10)))
    part = fill(task, np.zeros((8, 8, 3), np.uint8), frame(pixels), camera_settings(), own)
    left, top, width, height = shown
    assert part.pixels_bgr_u8 is not None
    assert (part.pixels_bgr_u8 == pixels[top : top + height, left : left + width]).all()


def test_a_frame_without_a_part_to_turn_is_marked() -> None:
    pixels = np.full((40, 40, 3), 120, np.uint8)
    part = fill(LONG, np.zeros((8, 8, 3), np.uint8), frame(pixels), camera_settings(), None)
    assert part.faults == (Reason.NO_PART,)
    dark = fill(LONG, np.zeros((8, 8, 3), np.uint8), frame(pixels * 0), camera_settings(), None)
    assert dark.faults == (Reason.BLACK, Reason.NO_PART)


@settings(max_examples=60, deadline=None)
@given(
    sides=st.tuples(st.integers(1, 400), st.integers(1, 400))
    | st.sampled_from([(1, 40_000), (40_000, 3), (3, 70_000)]),
    roi=st.none() | st.tuples(*[st.integers(-3, 500)] * 4),
    part_size=st.none() | st.tuples(st.integers(1, 200), st.integers(1, 200)),
    seed=st.integers(0, 9),
)
def test_whatever_shape_a_frame_has_a_part_comes_of_it(
    sides: tuple[int, int], roi: Roi | None, part_size: tuple[int, int] | None, seed: int
) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (*sides, 3)).astype(np.uint8)
    row = np.zeros((8, 8, 3), np.uint8)
    part = fill(
        Task("top", replace(SEEN, pose=part_size and Pose(part_size))), row, frame(pixels), camera_settings(), roi
    )
    assert part.faults or row.any()


def test_exposure_is_looked_at_within_the_region_only() -> None:
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[:10, :10] = 120
    part = fill(TOP, np.zeros((8, 8, 3), np.uint8), frame(pixels), camera_settings(), (0, 0, 10, 10))
    assert part.faults == ()


def test_rate_limit_paces_a_folder(tmp_path: Path) -> None:
    batcher = Batcher({None: [np.zeros((16, 8, 8, 3), np.uint8)]}, 60.0, 1)
    started_s = time.monotonic()
    Feed("top", FolderCamera(write_pictures(tmp_path, 6)), camera_settings(max_fps=50.0), batcher, seeing(SEEN)).start()
    assert batcher.take(WAIT_S) is not None
    assert time.monotonic() - started_s >= 5 / 50


def test_what_kills_a_feed_is_kept_and_ends_it() -> None:
    class Broken(Camera):
        frames_total = None

        def frames(self, stopping: threading.Event) -> Iterator[Frame]:
            raise RuntimeError("driver")

    batcher = Batcher({None: [np.zeros((1, 8, 8, 3), np.uint8)]}, 60.0, 1)
    feed = Feed("top", Broken(), camera_settings(), batcher, seeing(SEEN))
    feed.start()
    feed.join(WAIT_S)
    assert str(feed.fault) == "driver"
    assert batcher.is_finished


def test_a_frame_that_cannot_be_fitted_is_told_and_keeps_no_other_from_being_judged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fails_once(*arguments: Any, **others: Any) -> Picture:
        if not caplog.records:
            raise ZeroDivisionError("a fault of ours")
        return fit_on_cpu(*arguments, **others)

    def assign(stream: str, _trigger: object) -> Task:
        return Task(stream, SEEN, fit=fails_once)

    batcher = Batcher({None: [np.zeros((3, 8, 8, 3), np.uint8)]}, 60.0, 1)
    feed = Feed("top", FolderCamera(write_pictures(tmp_path, 3)), camera_settings(), batcher, assign)
    feed.start()
    batch = batcher.take(WAIT_S)
    assert batch is not None
    assert [part.faults for part in batch.written] == [(Reason.UNREADABLE,), (), ()]
    assert "camera top: a frame cannot be judged reason='a fault of ours'" in caplog.text
    feed.join(WAIT_S)
    assert feed.fault is None


def test_each_region_is_a_stream_of_its_own_and_only_the_last_closes_its_frame() -> None:
    class Once(Camera):
        frames_total = 1

        def frames(self, stopping: threading.Event) -> Iterator[Frame]:
            pixels = np.zeros((40, 40, 3), np.uint8)
            pixels[:, 20:] = 200
            yield replace(frame(pixels), cause=b"it")

    buffer = np.zeros((2, 8, 8, 3), np.uint8)
    batcher = Batcher({None: [buffer]}, 60.0, 1)
    Feed(
        "top", Once(), camera_settings(regions={"l": (0, 0, 20, 20), "r": (20, 0, 20, 20)}), batcher, seeing(SEEN)
    ).start()
    batch = batcher.take(WAIT_S)
    assert batch is not None
    assert [(part.camera, part.cause) for part in batch.written] == [("top-l", None), ("top-r", b"it")]
    assert [int(row.mean()) for row in buffer] == [0, 200]


class Changing(Camera):
    """Gives frames of the heights that it is told."""

    frames_total = None

    def __init__(self, *heights: int) -> None:
        self._heights = heights

    def frames(self, stopping: threading.Event) -> Iterator[Frame]:
        for height in self._heights:
            yield frame(good_picture(1, (height, 60)))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (VideoSettings(kind="video", path=Path("v")), "..xx."),
        (VideoSettings(kind="video", path=Path("v"), frame_size=(60, 30)), "xx..x"),
        (V4l2Settings(kind="v4l2", device=Path("/dev/video0")), "..xx."),
        (camera_settings(), "....."),
        (camera_settings(frame_size=[60, 40]), "..xx."),
    ],
)
def test_a_frame_of_another_size_is_not_judged_and_told_once(
    settings: CameraSettings, expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    batcher = Batcher({None: [np.zeros((8, 8, 8, 3), np.uint8)]}, 0.0, 1)
    feed = Feed("top", Changing(40, 40, 30, 30, 40), settings, batcher, seeing(SEEN))
    feed.start()
    feed.join(WAIT_S)
    assert feed.fault is None
    batch = batcher.take(WAIT_S)
    assert batch is not None
    faults = [part.faults for part in batch.written]
    assert faults == [(Reason.WRONG_SIZE,) if mark == "x" else () for mark in expected]
    assert caplog.text.count("frames of another size are not judged size=60x30") == (1 if "..xx." in expected else 0)


def test_of_a_frame_whose_colours_fail_no_region_is_judged_by_what_its_row_held_before() -> None:
    class Failing:
        def rows(self) -> list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
            return []

        def pixels_bgr_u8(self) -> None:
            raise ValueError("no such colours")

    class Live(Camera):
        frames_total = None

        def frames(self, stopping: threading.Event) -> Iterator[Frame]:
            yield Frame(None, Moment(1.0, 2.0), undeveloped=Failing())

    batcher = Batcher({None: [np.full((2, 8, 8, 3), 90, np.uint8)]}, 60.0, 1)
    regions = camera_settings(regions={"left": [0, 0, 8, 8], "right": [8, 0, 8, 8]})
    feed = Feed("top", Live(), regions, batcher, seeing(SEEN))
    feed.start()
    batch = batcher.take(WAIT_S)
    assert batch is not None
    assert [part.faults for part in batch.written] == [(Reason.UNREADABLE,), (Reason.UNREADABLE,)]
    feed.join(WAIT_S)


@pytest.mark.parametrize("is_watched", [False, True])
def test_12_bits_in_16_are_seen_as_in_training(tmp_path: Path, is_watched: bool) -> None:
    grey = np.random.default_rng(1).integers(0, 4096, (20, 20)).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), grey)
    cv2.imwrite(str(tmp_path / "b.png"), grey * 16)
    seen = ModelInput(8, 8, bits=12)
    camera = WatchedFolder(tmp_path, None, unreadable_after_s=0.0) if is_watched else FolderCamera(tmp_path)
    batcher = Batcher({None: [np.zeros((2, 8, 8, 3), np.uint8)]}, 60.0, 1)
    feed = Feed("top", camera, camera_settings(), batcher, seeing(seen))
    feed.start()
    batch = batcher.take(WAIT_S)
    feed.stop()
    assert batch is not None
    assert (batch.frames_bgr_u8[0] == read_frames([Sample(tmp_path / "a.png")], seen).bgr_u8[0]).all()
    assert [part.faults for part in batch.written] == [(), (Reason.UNREADABLE,)]
    batcher.close()
    feed.join(WAIT_S)
    assert feed.fault is None
