"""A watched folder: each picture once, when it is whole, whatever lies beside it and whatever was there before."""

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import CameraError
from runtime.cameras.camera import CameraState
from runtime.cameras.folders.folder_bell import FolderBell
from runtime.cameras.folders.folder_look import FolderLook
from runtime.cameras.folders.watched_folder import WatchedFolder
from runtime.parts.frame import Frame
from runtime.parts.verdict import Reason
from tests.runtime.pictures import bad_picture, good_picture
from tests.runtime.waiting import WAIT_S, wait_until


class Remembering:
    """What was judged, as an outbox knows it over all runs."""

    def __init__(self) -> None:
        self.causes: set[bytes] = set()

    def knows(self, cause: bytes) -> bool:
        return cause in self.causes

    def learn(self, cause: bytes) -> None:
        self.causes.add(cause)

    def forget(self, cause: bytes) -> None:
        self.causes.discard(cause)


class Inbox:
    """A folder that is watched on a thread, and what came of it."""

    def __init__(self, path: Path, **options: object) -> None:
        self.path = path
        path.mkdir(exist_ok=True)
        self.memory = Remembering()
        self.frames: list[Frame] = []
        self.options = options
        self.start()

    def start(self) -> None:
        self.stopping = threading.Event()
        self.camera = WatchedFolder(self.path, **{"move_to": None, **self.options})  # type: ignore[arg-type]
        self.camera.remember_by(self.memory)
        self.thread = threading.Thread(target=self._watch, args=(self.camera, self.stopping))
        self.thread.start()

    def _watch(self, camera: WatchedFolder, stopping: threading.Event) -> None:
        for frame in camera.frames(stopping):
            self.frames.append(frame)

    def store(self, frame: Frame) -> None:
        """Do what a station does when the event is on disk, but for telling the camera."""
        assert frame.cause is not None
        self.memory.causes.add(frame.cause)

    def wait_for(self, count: int) -> None:
        wait_until(lambda: len(self.frames) >= count)

    def stop(self) -> None:
        self.stopping.set()
        self.thread.join(WAIT_S)

    @property
    def sources(self) -> list[str | None]:
        return [frame.source for frame in self.frames]


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Callable[..., Inbox]]:
    made: list[Inbox] = []

    def make(**options: object) -> Inbox:
        made.append(Inbox(tmp_path / "in", **options))
        return made[-1]

    yield make
    for each in made:
        each.stop()


def png(seed: int, bad: bool = False) -> bytes:
    return bytes(cv2.imencode(".png", bad_picture(seed) if bad else good_picture(seed))[1])


def looked_twice(box: Inbox) -> None:
    """Wait until another picture, which comes later, was given."""
    count = len(box.frames)
    (box.path / f"zz-{count}.png").write_bytes(png(count + 1000))
    box.wait_for(count + 1)


def test_an_upload_that_pauses_gives_one_frame_when_it_is_whole(inbox: Callable[..., Inbox]) -> None:
    box, whole = inbox(unreadable_after_s=WAIT_S), png(1)
    with (box.path / "a.png").open("wb") as slow:
        for start in range(0, len(whole), len(whole) // 3 + 1):
            slow.write(whole[start : start + len(whole) // 3 + 1])
            slow.flush()
            if start == 0:
                looked_twice(box)
    box.wait_for(2)
    looked_twice(box)
    assert box.sources == ["zz-0.png", "a.png", "zz-2.png"]
    assert [frame.fault for frame in box.frames] == [None] * 3


def test_what_never_becomes_whole_is_told_once_after_the_wait_that_is_set(inbox: Callable[..., Inbox]) -> None:
    box = inbox(unreadable_after_s=0.3)
    (box.path / "half.png").write_bytes(png(1)[:300])
    started_s = time.monotonic()
    box.wait_for(1)
    assert time.monotonic() - started_s >= 0.3
    looked_twice(box)
    assert [(frame.source, frame.fault) for frame in box.frames][:1] == [("half.png", Reason.UNREADABLE)]
    assert box.sources.count("half.png") == 1


def test_pictures_of_one_name_are_judged_and_kept_each(inbox: Callable[..., Inbox], tmp_path: Path) -> None:
    done = tmp_path / "done"
    box = inbox(move_to=done)
    contents = [png(number) for number in range(4)]
    for number, content in enumerate(contents):
        (tmp_path / "copy").write_bytes(content)
        os.utime(tmp_path / "copy", ns=(10**18, 10**18))  # a copy that keeps the file's time
        (tmp_path / "copy").rename(box.path / "0001.png")
        box.wait_for(number + 1)
        cause = box.frames[-1].cause
        assert cause is not None
        box.camera.judged(cause)
        wait_until(lambda: not (box.path / "0001.png").exists())
    assert sorted(path.read_bytes() for path in done.iterdir()) == sorted(contents)
    assert (done / "0001.png").read_bytes() == contents[0]
    assert len({frame.mark for frame in box.frames}) == 4


def test_one_that_takes_a_judged_ones_place_is_not_moved_unjudged(inbox: Callable[..., Inbox], tmp_path: Path) -> None:
    box = inbox(move_to=tmp_path / "done")
    (box.path / "a.png").write_bytes(png(1))
    box.wait_for(1)
    (box.path / "a.png").write_bytes(png(2, bad=True) + b"")
    assert box.frames[0].cause is not None
    box.camera.judged(box.frames[0].cause)
    box.wait_for(2)
    assert not list((tmp_path / "done").iterdir())
    assert box.frames[0].mark != box.frames[1].mark


@pytest.mark.parametrize("moves", [True, False])
def test_what_was_stored_before_a_kill_is_not_judged_again(
    inbox: Callable[..., Inbox], tmp_path: Path, moves: bool
) -> None:
    done = tmp_path / "done"
    box = inbox(move_to=done if moves else None)
    for number in range(3):
        (box.path / f"{number}.png").write_bytes(png(number))
    box.wait_for(3)
    box.store(box.frames[0])
    box.stop()  # as killed: the camera was not told, and nothing was moved
    before = {frame.source: frame.mark for frame in box.frames}
    box.frames.clear()
    box.start()
    box.wait_for(2)
    looked_twice(box)
    assert {frame.source: frame.mark for frame in box.frames[:2]} == {
        source: identity for source, identity in before.items() if source != "0.png"
    }
    assert (done / "0.png").exists() == moves


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["put", "store", "move", "kill"]), max_size=14))
def test_every_picture_has_one_id_however_often_the_station_dies(steps: list[str]) -> None:
    """The events that an MES keeps, one per id, are as many as the pictures that were put."""
    with tempfile.TemporaryDirectory() as folder:
        inbox, memory, stored = Path(folder) / "in", Remembering(), list[str]()
        inbox.mkdir()
        put = 0
        waiting: list[Frame] = []
        moving: list[bytes] = []

        def started() -> WatchedFolder:
            camera = WatchedFolder(inbox, Path(folder) / "done", "top", 0.0)
            camera.remember_by(memory)
            return camera

        camera = started()

        def look() -> None:
            for _ in range(2):
                for picture, seen in camera._newcomers.settled(time.monotonic()).items():
                    frame = camera._read(picture, seen)
                    waiting.extend([] if frame is None else [frame])

        def store() -> None:
            for frame in waiting:
                assert frame.cause is not None and frame.mark is not None  # noqa: PT018
                memory.causes.add(frame.cause)
                stored.append(frame.mark.identity)
                moving.append(frame.cause)
            waiting.clear()

        for step in [*steps, "kill", "store", "move"]:
            look()
            if step == "put":
                put += 1
                (inbox / f"{put % 2}.part").write_bytes(png(put))
                (inbox / f"{put % 2}.part").rename(inbox / f"{put}.png")
            elif step == "store":
                store()
            elif step == "move":
                for cause in moving:
                    camera.judged(cause)
                camera._tidy()
                moving.clear()
            else:
                waiting.clear()
                moving.clear()
                camera = started()
        look()
        assert len(set(stored)) == len(stored) == put


def test_names_of_other_systems_and_folders_are_no_pictures(inbox: Callable[..., Inbox]) -> None:
    box = inbox()
    for name in ("._a.png", ".a.png", "~a.png", "a.part.png", "a.tmp.PNG", "Thumbs.db", "a.png.part"):
        (box.path / name).write_bytes(png(1))
    for name in ("@eaDir", "__MACOSX", ".sync", "#recycle", "a.png"):
        (box.path / name).mkdir()
        if name != "a.png":
            (box.path / name / "b.png").write_bytes(png(1))
    os.mkfifo(box.path / "pipe.png")
    (box.path / "a.b.png").write_bytes(png(2))
    box.wait_for(1)
    looked_twice(box)
    assert box.sources == ["a.b.png", "zz-1.png"]


def test_a_folder_that_goes_is_told_and_what_was_judged_is_known_when_it_is_back(inbox: Callable[..., Inbox]) -> None:
    box = inbox()
    (box.path / "a.png").write_bytes(png(1))
    box.wait_for(1)
    box.path.rename(box.path.with_name("gone"))
    wait_until(lambda: box.camera.status().state == CameraState.STALLED)
    assert "No such file" in box.camera.status().reason
    box.path.with_name("gone").rename(box.path)
    wait_until(lambda: box.camera.status().state == CameraState.STREAMING)
    looked_twice(box)
    assert box.sources == ["a.png", "zz-1.png"]


def test_a_crowd_of_other_files_costs_a_look_next_to_nothing(tmp_path: Path) -> None:
    for number in range(3000):
        (tmp_path / f"{number:06}.json").touch()
    (tmp_path / "a.png").write_bytes(png(1))
    look = FolderLook(tmp_path)
    assert look.again(0.0)
    assert look.pictures == [tmp_path / "a.png"]
    look.again(10.0)
    listed = look._listings[tmp_path].listed_s
    started_s = time.process_time()
    for number in range(100):
        look.again(20.0 + number)
    assert look._listings[tmp_path].listed_s == listed  # none of them listed the folder
    assert time.process_time() - started_s < 1.0
    (tmp_path / "b.png").write_bytes(png(2))
    assert look.again(200.0)
    assert look.pictures == [tmp_path / "a.png", tmp_path / "b.png"]


def test_the_bell_tells_what_was_closed_or_moved_in(tmp_path: Path) -> None:
    bell = FolderBell()
    bell.hear(tmp_path)
    assert bell.wait(0.0) == set()
    (tmp_path / "a.png").write_bytes(b"1")
    shutil.move(tmp_path / "a.png", tmp_path / "b.png")
    told: set[Path] = set()
    while told != {tmp_path / "a.png", tmp_path / "b.png"}:
        told |= bell.wait(WAIT_S)
    bell.close()


def test_where_pictures_go_must_lie_outside(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="lies in the watched folder"):
        WatchedFolder(tmp_path, tmp_path / "judged")
    with pytest.raises(CameraError, match="no such folder"):
        WatchedFolder(tmp_path / "none", None)
