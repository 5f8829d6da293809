"""Room: a disk that the outbox has filled is emptied by the broker, and takes new events then."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from core.errors import OutboxError
from runtime.outbox.journal import Journal
from runtime.outbox.outbox import Outbox
from runtime.outbox.settings import KEPT_BYTES, OutboxSettings
from tests.runtime.outbox.test_outbox import letter

DISK_BYTES = 3 * KEPT_BYTES


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a disk of its own."""
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=free_bytes(Path(folder))))
    return tmp_path


def free_bytes(disk: Path) -> int:
    return DISK_BYTES - sum(file.stat().st_size for file in disk.iterdir())


def fill(outbox: Outbox) -> int:
    """Store events until none is taken any more; how many were."""
    stored = 0
    while True:
        try:
            outbox.require_room()
        except OutboxError:
            break
        outbox.add([letter(stored + number, size=30_000) for number in range(20)])
        stored += 20
    with pytest.raises(OutboxError, match=r"its disk is full.*start again when the broker is back"):
        outbox.add([letter(stored)])
    return stored


def left_while_emptied(outbox: Outbox, disk: Path) -> Iterator[int]:
    """Let the broker take all; say what of the disk is free each time."""
    while outbox.depth:
        outbox.remove(outbox.read(0, 20))
        yield free_bytes(disk)


def test_a_disk_that_the_outbox_filled_is_emptied_by_the_next_run_and_takes_new_events(disk: Path) -> None:
    settings = OutboxSettings(path=disk / "box.sqlite")
    stored = 0
    for _run in range(2):  # the end of a run gives the room of SQLite's journal back
        with closing(Outbox(settings)) as outbox:
            stored += fill(outbox)
    with closing(Outbox(settings)) as outbox:
        assert outbox.depth == stored > 100
        with pytest.raises(OutboxError, match="its disk is full"):
            outbox.require_room()
        assert min(left_while_emptied(outbox, disk)) > KEPT_BYTES / 2
        outbox.require_room()
        assert fill(outbox) > stored / 2, "the file has the room that the disk has not"


def test_what_is_kept_to_be_sent_again_takes_none_of_the_room(
    disk: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Outbox(OutboxSettings(path=disk / "box.sqlite"))) as outbox:
        outbox.add([letter(number) for number in range(4)])
        events = outbox.read(0, 4)
    with closing(Journal(disk / "journal.sqlite", 20)) as journal:
        journal.keep(events[:2])
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=KEPT_BYTES - 1))
        journal.keep(events[2:])
        assert "cannot keep events" in caplog.text
    with closing(sqlite3.connect(disk / "journal.sqlite")) as database:
        assert database.execute("SELECT COUNT(*) FROM sent").fetchone() == (2,)


def test_an_outbox_whose_folder_was_moved_goes_on(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    with closing(Outbox(OutboxSettings(path=tmp_path / "here" / "box.sqlite"))) as outbox:
        outbox.add([letter(1)])
        (tmp_path / "here").rename(tmp_path / "there")
        outbox.add([letter(2)])
        assert outbox.depth == 2
