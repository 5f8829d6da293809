"""Moving a judged picture: none takes another's place, and a kill in between leaves it in one place."""

import errno
import itertools
import logging
import os
import shutil
import time
from pathlib import Path

import pytest

from runtime.cameras.folders import moving
from runtime.cameras.folders.moving import Mover, move
from runtime.cameras.folders.newcomers import Seen
from tests.runtime.pictures import write_pictures

WHEN_NS = 1_800_000_000 * 10**9


def names(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.fixture(params=["links", "no links"])
def done(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where pictures go, on file systems with links and without."""

    def refuse(*_: object, **_options: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    if request.param == "no links":
        monkeypatch.setattr(os, "link", refuse)
    folder = tmp_path / "done"
    folder.mkdir()
    return folder


def test_the_same_name_again_gets_the_pictures_time_and_then_a_number(done: Path, tmp_path: Path) -> None:
    for content in "abc":
        (tmp_path / "1.png").write_text(content)
        move(tmp_path / "1.png", done / "1.png", WHEN_NS)
        assert not (tmp_path / "1.png").exists()
    assert names(done) == {"1.png": "a", "1-20270115T080000Z.png": "b", "1-20270115T080000Z-2.png": "c"}


def test_after_a_kill_between_the_two_steps_it_is_there_once(tmp_path: Path) -> None:
    (tmp_path / "done").mkdir()
    (tmp_path / "1.png").write_text("a")
    os.link(tmp_path / "1.png", tmp_path / "done" / "1.png")
    move(tmp_path / "1.png", tmp_path / "done" / "1.png", WHEN_NS)
    assert names(tmp_path / "done") == {"1.png": "a"}
    assert not (tmp_path / "1.png").exists()


def test_a_link_to_a_picture_is_moved_itself(tmp_path: Path) -> None:
    (tmp_path / "done").mkdir()
    (tmp_path / "real.png").write_text("a")
    (tmp_path / "1.png").symlink_to(tmp_path / "real.png")
    move(tmp_path / "1.png", tmp_path / "done" / "1.png", WHEN_NS)
    assert (tmp_path / "done" / "1.png").is_symlink()
    assert names(tmp_path / "done") == {"1.png": "a"}
    assert (tmp_path / "real.png").exists()


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on another file system."""

    def refuse(*_: object, **_options: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    replace = Path.replace
    is_near = lambda one, other: Path(one).parent == Path(other).parent  # noqa: E731
    monkeypatch.setattr(Path, "replace", lambda one, other: replace(one, other) if is_near(one, other) else refuse())
    folder = tmp_path / "done"
    folder.mkdir()
    return folder


def test_to_another_file_system_it_is_moved_with_its_time(elsewhere: Path, tmp_path: Path) -> None:
    (tmp_path / "1.png").write_text("a")
    os.utime(tmp_path / "1.png", ns=(WHEN_NS, WHEN_NS))
    move(tmp_path / "1.png", elsewhere / "1.png", WHEN_NS)
    assert names(elsewhere) == {"1.png": "a"}
    assert (elsewhere / "1.png").stat().st_mtime_ns == WHEN_NS
    assert not (tmp_path / "1.png").exists()


@pytest.mark.parametrize("ends", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_what_is_copied_in_part_has_no_pictures_name(
    elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: BaseException
) -> None:
    def half(_picture: Path, to: Path, **_options: object) -> None:
        to.write_text("ha")
        raise ends

    (tmp_path / "1.png").write_text("half")
    monkeypatch.setattr(shutil, "copy2", half)
    with pytest.raises(type(ends)):
        move(tmp_path / "1.png", elsewhere / "1.png", WHEN_NS)
    assert (tmp_path / "1.png").read_text() == "half"
    assert "ha" not in names(elsewhere).values()


def test_one_that_is_gone_is_told(done: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        move(tmp_path / "1.png", done / "1.png", WHEN_NS)
    assert not list(done.iterdir())


def seen(picture: Path) -> Seen:
    stat = picture.stat()
    return Seen(stat.st_size, stat.st_mtime_ns, 0.0, 0.0)


def test_what_cannot_be_moved_holds_up_no_other_is_told_once_and_moved_when_it_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(moving, "AGAIN_AFTER_S", 0.0)
    inbox, done, moved = tmp_path / "inbox", tmp_path / "done", list[bytes]()
    pictures = [*sorted(write_pictures(inbox / "side", 3).iterdir()), *write_pictures(inbox / "top", 1).iterdir()]
    done.mkdir()
    (done / "side").write_text("in the place of a folder")
    mover = Mover(inbox, done, moved.append)
    for number, picture in enumerate(pictures):
        mover.add((picture, seen(picture), b"%d" % number))
    for _ in range(3):
        mover.tidy()
    assert moved == [b"3"]
    assert [path.name for path in (done / "top").iterdir()] == ["00000.png"]
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"judged picture cannot be moved file={pictures[0]} to={done / 'side' / '00000.png'}")
    assert mover.problem.startswith(f"judged pictures cannot be moved to {done} (")
    (done / "side").unlink()
    mover.tidy()
    assert sorted(moved) == [b"0", b"1", b"2", b"3"]
    assert len(list((done / "side").iterdir())) == 3
    assert not [picture for picture in pictures if picture.exists()]
    assert "judged pictures are moved again" in caplog.text
    assert mover.problem == ""


@pytest.mark.parametrize("away", ["inbox", "done"])
def test_nothing_is_moved_where_a_share_is_not_mounted_any_more(
    away: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It would lie below the share when that is back, where nobody sees it, or count as taken away, and so as new."""
    (picture,) = write_pictures(tmp_path / "inbox", 1).iterdir()
    (tmp_path / "done").mkdir()
    moved = list[bytes]()
    monkeypatch.setattr(os.path, "ismount", lambda path: path in (tmp_path / away, Path("/")))
    mover = Mover(tmp_path / "inbox", tmp_path / "done", moved.append)
    monkeypatch.setattr(os.path, "ismount", lambda path: path == Path("/"))
    mover.add((picture, seen(picture), b"cause"))
    mover.tidy()
    assert picture.exists()
    assert not [*(tmp_path / "done").iterdir(), *moved]
    assert f"{tmp_path / away} is not mounted any more" in caplog.text


def test_a_picture_of_which_the_share_tells_nothing_is_not_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "AGAIN_AFTER_S", 0.0)
    (picture,) = write_pictures(tmp_path / "inbox", 1).iterdir()
    (tmp_path / "done").mkdir()
    moved = list[bytes]()
    mover = Mover(tmp_path / "inbox", tmp_path / "done", moved.append)
    mover.add((picture, seen(picture), b"cause"))
    stat = Path.stat

    def stale(path: Path, **options: bool) -> os.stat_result:
        if path == picture:
            raise OSError(errno.ESTALE, "Stale file handle")
        return stat(path, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "stat", stale)
        mover.tidy()
    assert not moved
    mover.tidy()
    assert moved == [b"cause"]


def test_what_was_left_holds_up_what_comes_new_for_a_moment_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "AGAIN_AFTER_S", 0.0)
    clock = itertools.count()
    monkeypatch.setattr(time, "monotonic", lambda: next(clock) * moving.TURN_S / 10)
    moved = list[bytes]()
    pictures = sorted(write_pictures(tmp_path / "inbox" / "side", 12).iterdir())
    (tmp_path / "done").mkdir()
    (tmp_path / "done" / "side").write_text("in the place of a folder")
    mover = Mover(tmp_path / "inbox", tmp_path / "done", moved.append)
    for picture in pictures:
        mover.add((picture, seen(picture), picture.name.encode()))
    mover.tidy()
    (tmp_path / "done" / "side").unlink()
    mover.tidy()
    assert 0 < len(moved) < 12
    for _ in range(12):
        mover.tidy()
    assert len(moved) == 12
