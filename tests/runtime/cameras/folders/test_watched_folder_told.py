"""A watched folder tells what keeps its pictures from being judged, and judges what lies beside it."""

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.pictures.picture import list_folder
from runtime.cameras.camera import CameraState, Memory
from runtime.cameras.folders import folder_look, moving, newcomers, watched_folder
from runtime.cameras.folders.watched_folder import WatchedFolder
from runtime.parts.frame import Frame
from tests.runtime.pictures import write_pictures
from tests.runtime.waiting import WAIT_S, wait_until


class KnowsAll:
    """An outbox of an earlier run, which judged all that is there and was killed before it moved it."""

    def knows(self, _cause: bytes) -> bool:
        return True

    def learn(self, _cause: bytes) -> None:
        pass

    def forget(self, _cause: bytes) -> None:
        pass


class Watching:
    """A folder that is watched on a thread, and the frames that it gave."""

    def __init__(
        self, path: Path, kept: tuple[Path, ...] = (), move_to: Path | None = None, memory: Memory | None = None
    ) -> None:
        self.camera = WatchedFolder(path, move_to, kept=kept)
        if memory is not None:
            self.camera.remember_by(memory)
        self.frames: list[Frame] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        for frame in self.camera.frames(self._stopping):
            self.frames.append(frame)

    def is_told(self, state: CameraState, words: str = "") -> None:
        wait_until(lambda: self.camera.status().state == state and words in self.camera.status().reason)

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(WAIT_S)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "inbox", 2)


@pytest.fixture
def watching(inbox: Path) -> Iterator[Watching]:
    watching = Watching(inbox)
    wait_until(lambda: len(watching.frames) == 2)
    yield watching
    watching.stop()


def test_a_share_that_is_not_mounted_any_more_is_told(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounted = {str(inbox), "/"}
    monkeypatch.setattr(os.path, "ismount", lambda path: str(path) in mounted)
    watching = Watching(inbox)
    try:
        wait_until(lambda: len(watching.frames) == 2)
        mounted.discard(str(inbox))  # the folder is there, and empty
        watching.is_told(CameraState.STALLED, f"{inbox} is not mounted any more")
        mounted.add(str(inbox))
        watching.is_told(CameraState.STREAMING)
    finally:
        watching.stop()
    assert len(watching.frames) == 2


def test_what_is_no_file_is_told_and_the_pictures_beside_it_are_judged(inbox: Path, watching: Watching) -> None:
    os.mkfifo(inbox / "pipe.png")
    watching.is_told(CameraState.STALLED, "pipe.png is no file")
    shutil.copy(inbox / "00000.png", inbox / "new.png")
    wait_until(lambda: len(watching.frames) == 3)
    (inbox / "pipe.png").unlink()
    watching.is_told(CameraState.STREAMING)


def test_a_file_that_never_ends_is_told(inbox: Path, watching: Watching, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newcomers, "ENDLESS_S", 0.3)
    with (inbox / "endless.png").open("wb") as file:

        def is_told() -> bool:
            file.write(b"more")
            file.flush()
            return "endless.png has not become whole" in watching.camera.status().reason

        wait_until(is_told)
    assert watching.camera.status().state == CameraState.STALLED


def test_a_share_that_does_not_answer_is_told(inbox: Path, watching: Watching, monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()

    def hang(*arguments: Any) -> list[tuple[Path, bool]]:
        answered.wait(WAIT_S)
        return list_folder(*arguments)

    monkeypatch.setattr(watched_folder, "HANGS_S", 0.1)
    monkeypatch.setattr(folder_look, "list_folder", hang)
    shutil.copy(inbox / "00000.png", inbox / "new.png")
    watching.is_told(CameraState.STALLED, "has not answered")
    answered.set()
    watching.is_told(CameraState.STREAMING)
    wait_until(lambda: len(watching.frames) == 3)


def test_a_share_that_takes_no_judged_picture_holds_up_nobody_who_judges_and_is_told(
    inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered, moved = threading.Event(), threading.Event()

    def hang(*_arguments: Any) -> None:
        answered.wait(WAIT_S)
        moved.set()

    monkeypatch.setattr(watched_folder, "HANGS_S", 0.1)
    monkeypatch.setattr(moving, "move", hang)
    watching = Watching(inbox, move_to=tmp_path / "done")
    wait_until(lambda: len(watching.frames) == 2)
    assert watching.frames[0].cause is not None
    watching.camera.judged(watching.frames[0].cause)  # returns at once
    watching.is_told(CameraState.STALLED, f"{tmp_path / 'done'} has not answered")
    assert not moved.is_set()
    answered.set()
    watching.is_told(CameraState.STREAMING)
    assert moved.is_set()
    watching.stop()


def test_judged_pictures_that_cannot_be_moved_are_told_while_it_lasts(inbox: Path, tmp_path: Path) -> None:
    write_pictures(inbox / "side", 1)
    (tmp_path / "done").mkdir()
    (tmp_path / "done" / "side").write_text("in the place of a folder")
    watching = Watching(inbox, move_to=tmp_path / "done", memory=KnowsAll())
    try:
        watching.is_told(CameraState.STREAMING, f"judged pictures cannot be moved to {tmp_path / 'done'} (")
        (tmp_path / "done" / "side").unlink()
        wait_until(lambda: watching.camera.status().reason == "")
    finally:
        watching.stop()


def test_a_share_that_takes_nothing_of_what_an_earlier_run_judged_is_told(
    inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()
    monkeypatch.setattr(watched_folder, "HANGS_S", 0.1)
    monkeypatch.setattr(moving, "move", lambda *_: answered.wait(WAIT_S))
    watching = Watching(inbox, move_to=tmp_path / "done", memory=KnowsAll())
    watching.is_told(CameraState.STALLED, f"{tmp_path / 'done'} has not answered")
    answered.set()
    watching.is_told(CameraState.STREAMING)
    watching.stop()
    assert not watching.frames


def test_folders_that_come_and_go_while_they_are_listed_are_no_fault(inbox: Path, watching: Watching) -> None:
    for number in range(300):
        (inbox / f"s{number % 7}" / "t").mkdir(parents=True, exist_ok=True)
        shutil.rmtree(inbox / f"s{(number * 3) % 7}", ignore_errors=True)
    shutil.copy(inbox / "00000.png", inbox / "new.png")
    wait_until(lambda: len(watching.frames) == 3)


def test_what_waits_to_be_judged_is_not_given_again_where_its_folder_was_away(inbox: Path, watching: Watching) -> None:
    part = inbox / "lot"
    part.mkdir()
    shutil.copy(inbox / "00000.png", part / "a.png")
    wait_until(lambda: len(watching.frames) == 3)
    part.rename(inbox.with_name("away"))  # as a share below the folder that drops out
    shutil.copy(inbox / "00000.png", inbox / "b.png")
    wait_until(lambda: len(watching.frames) == 4)
    inbox.with_name("away").rename(part)
    shutil.copy(inbox / "00000.png", inbox / "c.png")
    shutil.copy(inbox / "00000.png", part / "d.png")
    wait_until(lambda: {"c.png", "lot/d.png"} <= {frame.source for frame in watching.frames})
    assert [frame.source for frame in watching.frames].count("lot/a.png") == 1


def test_what_the_bell_names_waits_for_no_look_and_is_not_judged_twice(
    inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera, stopping = WatchedFolder(inbox, None), threading.Event()
    frames = camera.frames(stopping)
    assert [next(frames).source for _ in range(2)] == ["00000.png", "00001.png"]
    listings: list[Path] = []

    def counted(folder: Path, odd: list[Path] | None = None) -> list[tuple[Path, bool]]:
        listings.append(folder)
        return list_folder(folder, odd)

    monkeypatch.setattr(folder_look, "list_folder", counted)
    for name in ("c.tmp.png", ".d.png", "b.png", "a.png"):
        shutil.copy(inbox / "00000.png", inbox.with_name("whole"))
        inbox.with_name("whole").rename(inbox / name)
    assert [next(frames).source for _ in range(2)] == ["a.png", "b.png"]
    assert not listings
    inbox.with_name("whole").write_bytes((inbox / "00000.png").read_bytes())
    threading.Timer(0.3, inbox.with_name("whole").rename, [inbox / "e.png"]).start()
    assert next(frames).source == "e.png"
    assert listings  # so it was looked for a and b, too
    stopping.set()
    assert not list(frames)


@pytest.mark.parametrize("leads_to", ["evidence", "evidence/NotOK/2026-11-28", "."])
def test_a_link_to_what_is_kept_is_told_and_not_followed(tmp_path: Path, leads_to: str) -> None:
    """Each picture of a part that failed would be a part again, for ever."""
    kept, inbox = tmp_path / "evidence" / "NotOK", tmp_path / "inbox"
    write_pictures(kept / "2026-11-28", 1)
    inbox.mkdir()
    (inbox / "link").symlink_to(tmp_path / leads_to)
    watching = Watching(inbox, (kept, inbox.parent))
    write_pictures(inbox / "part", 1)
    watching.is_told(CameraState.STALLED, "is what this station keeps, and never judged; remove the link to it")
    wait_until(lambda: len(watching.frames) >= 1)
    write_pictures(kept / "2026-11-28", 3)
    write_pictures(inbox / "next", 1)
    wait_until(lambda: len(watching.frames) >= 2)
    watching.stop()
    assert [frame.source for frame in watching.frames] == ["part/00000.png", "next/00000.png"]
