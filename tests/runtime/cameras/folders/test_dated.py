"""Programs that copy a picture with its time set that last, when it may have been judged: it is no other picture."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.cameras.folders.test_watched_folder import Inbox, looked_twice, png
from tests.runtime.waiting import wait_until

LONG_AGO_NS = 10**18


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Inbox]:
    box = Inbox(tmp_path / "in")
    yield box
    box.stop()


def judged(box: Inbox, number: int) -> None:
    """Do what a station does of a frame that was given."""
    frame = box.frames[number]
    box.store(frame)
    assert frame.cause is not None
    box.camera.judged(frame.cause)


def dated(picture: Path, days: int = 0) -> None:
    os.utime(picture, ns=(LONG_AGO_NS, LONG_AGO_NS + days * 86_400 * 10**9))


def test_a_judged_picture_whose_time_is_set_is_judged_once_over_restarts_too(box: Inbox) -> None:
    (box.path / "a.png").write_bytes(png(1))
    box.wait_for(1)
    judged(box, 0)
    dated(box.path / "a.png")
    wait_until(lambda: len(box.memory.causes) == 2)
    dated(box.path / "a.png", days=1)
    wait_until(lambda: len(box.memory.causes) == 3)
    box.stop()
    box.start()
    looked_twice(box)
    assert box.sources.count("a.png") == 1


def test_one_whose_time_is_set_while_it_waits_to_be_judged_is_judged_once_and_moved(tmp_path: Path) -> None:
    box = Inbox(tmp_path / "in", move_to=tmp_path / "done")
    try:
        (box.path / "a.png").write_bytes(png(1))
        box.wait_for(1)
        for days in range(2):
            dated(box.path / "a.png", days)
            looked_twice(box)
        assert box.memory.causes == set()  # a kill now leaves it to the next run
        judged(box, 0)
        wait_until((tmp_path / "done" / "a.png").exists)
        assert box.sources.count("a.png") == 1
    finally:
        box.stop()


def test_another_picture_in_its_place_is_judged_whatever_its_time(box: Inbox, tmp_path: Path) -> None:
    pictures = [png(1), png(1), png(2).ljust(len(png(1)), b"\0")]
    for number, content in enumerate(pictures):  # the second as the first to the bit, and another file
        (tmp_path / "copy").write_bytes(content)
        dated(tmp_path / "copy", number)
        if number < 2:
            (tmp_path / "copy").rename(box.path / "a.png")
        else:
            with (box.path / "a.png").open("r+b") as same_file:
                same_file.write(content)
            dated(box.path / "a.png", number)
        box.wait_for(number + 1)
        judged(box, number)
    assert box.sources == ["a.png"] * 3


def test_one_that_is_written_again_alike_in_its_place_is_another_part(box: Inbox) -> None:
    for number in range(2):
        (box.path / "a.png").write_bytes(png(1))  # black pictures may be alike to the bit
        box.wait_for(number + 1)
        judged(box, number)
