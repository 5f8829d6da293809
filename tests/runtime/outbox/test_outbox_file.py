"""An outbox's file that was emptied or removed, whose journal is read, and one that is a database of something else."""

import errno
import fcntl
import logging
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from core.errors import OutboxError
from runtime.outbox.file import OutboxFile, held
from runtime.outbox.outbox import Outbox
from runtime.outbox.settings import OutboxSettings
from runtime.outbox.write_ahead import changes
from runtime.parts.verdict import Verdict
from tests.runtime.outbox.test_outbox import bodies, letter


def killed(folder: Path, path: Path, *, is_older: bool) -> None:
    """Leave at `path` what a killed station leaves; with `is_older` one that had ended in order before."""
    bounds = OutboxSettings(path=folder / "alive.sqlite")
    if is_older:
        outbox = Outbox(bounds)
        outbox.add([letter(number, Verdict.OK) for number in range(99)])
        outbox.close()
    outbox = Outbox(bounds)
    outbox.add([letter(number, Verdict.NOT_OK) for number in (1, 2, 3)])
    for suffix in ("", "-wal"):
        shutil.copy(f"{bounds.path}{suffix}", f"{path}{suffix}")
    outbox.close()


def killed_after_each(folder: Path, path: Path) -> list[int]:
    """Leave at `path` what a killed station leaves that stored four events; the journal's bytes after each."""
    bounds, sizes = OutboxSettings(path=folder / "alive.sqlite"), []
    with closing(Outbox(bounds)) as outbox:
        for number in (1, 2, 3, 4):
            outbox.add([letter(number, Verdict.NOT_OK)])
            sizes.append(Path(f"{bounds.path}-wal").stat().st_size)
        for suffix in ("", "-wal"):
            shutil.copy(f"{bounds.path}{suffix}", f"{path}{suffix}")
    return sizes


def damage(path: Path, place: int) -> None:
    """Change one bit of the journal beside `path`."""
    with path.with_name(f"{path.name}-wal").open("r+b") as journal:
        journal.seek(place)
        byte = journal.read(1)
        journal.seek(place)
        journal.write(bytes([byte[0] ^ 1]))


@pytest.mark.parametrize("size", [None, 0, 1])
def test_what_waits_in_the_journal_of_a_file_that_was_emptied_or_removed_is_found(
    tmp_path: Path, size: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "box.sqlite"
    killed(tmp_path, path, is_older=False)
    if size is None:
        path.unlink()
    else:
        os.truncate(path, size)
    outbox = Outbox(OutboxSettings(path=path))
    assert bodies(outbox) == [1, 2, 3]
    outbox.close()
    assert "outbox has lost its content" in caplog.text
    assert "events=3 " in caplog.text
    assert "damaged" not in caplog.text


@pytest.mark.parametrize("is_empty", [True, False])
@pytest.mark.parametrize(
    ("whole", "told"),
    [
        (2, "its journal is damaged, and what was stored last cannot be read changes=2 "),
        (3, "the last change in its journal is not whole, as a power cut leaves"),
    ],
)
def test_what_sqlite_does_not_read_of_a_damaged_journal_is_told_by_its_count(
    tmp_path: Path, is_empty: bool, whole: int, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "box.sqlite"
    sizes = killed_after_each(tmp_path, path)
    os.truncate(path, 0 if is_empty else path.stat().st_size)
    damage(path, sizes[whole - 1] + 1000)  # of what stored the next one
    outbox = Outbox(OutboxSettings(path=path))
    assert bodies(outbox) == list(range(1, whole + 1))
    outbox.close()
    assert told in caplog.text
    assert ("outbox has lost its content" in caplog.text) is is_empty
    assert f"events={whole} " in caplog.text or not is_empty


def test_of_a_damaged_header_of_one_change_all_behind_it_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "box.sqlite"
    sizes = killed_after_each(tmp_path, path)
    damage(path, sizes[1] + 9)
    outbox = Outbox(OutboxSettings(path=path))
    assert bodies(outbox) == [1, 2]
    outbox.close()
    assert "its journal is damaged, and what was stored last cannot be read changes=2 " in caplog.text


@pytest.mark.parametrize("is_empty", [True, False])
@pytest.mark.parametrize("place", [0, 3, 9, 17, 27])
def test_a_journal_whose_own_header_is_damaged_is_refused_and_kept(tmp_path: Path, place: int, is_empty: bool) -> None:
    """SQLite would take it for none, and remove it."""
    path = tmp_path / "box.sqlite"
    killed_after_each(tmp_path, path)
    os.truncate(path, 0 if is_empty else path.stat().st_size)
    damage(path, place)
    before = path.with_name("box.sqlite-wal").read_bytes()
    for _ in range(2):
        with pytest.raises(
            OutboxError, match=r"box\.sqlite-wal cannot be read \(its first bytes are damaged\); .* keep both"
        ):
            Outbox(OutboxSettings(path=path))
    assert path.with_name("box.sqlite-wal").read_bytes() == before


def test_a_file_whose_beginning_is_neither_there_nor_in_the_journal_is_told_as_damaged_and_left_as_it_is(
    tmp_path: Path,
) -> None:
    path = tmp_path / "box.sqlite"
    killed(tmp_path, path, is_older=True)
    os.truncate(path, 0)
    journal = path.with_name(f"{path.name}-wal")
    with journal.open("rb") as opened:
        header = opened.read(32)
    frame_bytes = 24 + int.from_bytes(header[8:12], "big")
    os.truncate(journal, 32 + changes(journal)[0] * frame_bytes)
    before = journal.read_bytes()
    for _ in range(2):
        with pytest.raises(OutboxError, match="its beginning is lost, and the journal beside it"):
            Outbox(OutboxSettings(path=path))
    assert journal.read_bytes() == before


@pytest.mark.parametrize("journal", ["zeros", "first frame"])
def test_a_journal_without_a_commit_beside_an_empty_file_keeps_no_station_from_starting(
    tmp_path: Path, journal: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As after a power cut in the first moment of all."""
    path = tmp_path / "box.sqlite"
    killed(tmp_path, path, is_older=False)
    os.truncate(path, 0)
    beside = path.with_name(f"{path.name}-wal")
    beside.write_bytes(bytes(8192) if journal == "zeros" else beside.read_bytes()[: 32 + 24 + 4096])
    with beside.open("rb"):  # so that SQLite's new journal is another file
        outbox = Outbox(OutboxSettings(path=path))
    assert bodies(outbox) == []
    outbox.close()
    assert "begins anew" in caplog.text
    assert "moved or removed" not in caplog.text


def test_where_the_journal_has_not_all_that_waited_the_file_is_refused_as_damaged(tmp_path: Path) -> None:
    path = tmp_path / "box.sqlite"
    killed(tmp_path, path, is_older=True)
    os.truncate(path, 0)
    with pytest.raises(OutboxError, match="damaged: keep it"):
        Outbox(OutboxSettings(path=path))


@pytest.mark.parametrize("suffix", ["", "-wal"])
@pytest.mark.parametrize("is_moved", [True, False])
def test_that_somebody_moved_or_removed_the_file_under_a_running_station_is_told_once(
    tmp_path: Path, suffix: str, is_moved: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.outbox.file.LOOK_EVERY_S", 0.0)
    path = tmp_path / "box.sqlite"
    outbox = Outbox(OutboxSettings(path=path))
    outbox.add([letter(1, Verdict.OK)])
    assert caplog.text == ""
    gone = path.with_name(f"box.sqlite{suffix}")
    if is_moved:
        gone.rename(tmp_path / "backup")
    else:
        gone.unlink()
    for number in (2, 3):
        outbox.add([letter(number, Verdict.OK)])
    assert bodies(outbox) == [1, 2, 3]
    outbox.close()
    assert caplog.text.count("its file was moved or removed while the station runs") == 1


def test_that_the_file_went_is_told_at_the_end_at_the_latest(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    outbox = Outbox(OutboxSettings(path=tmp_path / "box.sqlite"))
    (tmp_path / "box.sqlite").unlink()
    outbox.close()
    assert "its file was moved or removed" in caplog.text


def test_a_journal_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "box.sqlite-wal").mkdir()
    with pytest.raises(OutboxError, match=r"its journal .*box\.sqlite-wal cannot be read \(Is a directory\); check"):
        Outbox(OutboxSettings(path=tmp_path / "box.sqlite"))


@pytest.mark.parametrize("is_there", [True, False])
def test_that_an_empty_file_may_have_held_events_is_told_once_and_not_of_a_new_one(
    tmp_path: Path, is_there: bool, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "box.sqlite"
    if is_there:
        path.touch()
    for is_told in (is_there, False):
        with caplog.at_level(logging.WARNING):
            outbox = Outbox(OutboxSettings(path=path))
        outbox.add([letter(1, Verdict.OK)])
        outbox.close()
        assert ("outbox is an empty file and begins anew" in caplog.text) is is_told
        caplog.clear()


def test_what_a_simulation_that_was_killed_left_in_its_place_is_no_outbox_that_was_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "box.sqlite"
    with held(path):
        left = path.read_bytes()
    assert not path.exists()
    path.write_bytes(left)
    with caplog.at_level(logging.WARNING):
        with held(path):
            """Another simulation takes it over."""
        assert not path.exists()
        path.write_bytes(left)
        outbox = Outbox(OutboxSettings(path=path))
    assert caplog.text == ""
    outbox.add([letter(1, Verdict.OK)])
    outbox.close()
    outbox = Outbox(OutboxSettings(path=path))
    assert outbox.depth == 1
    outbox.close()


@pytest.mark.parametrize(
    "made",
    [
        "CREATE TABLE orders (number INTEGER)",
        "CREATE TABLE events (number INTEGER PRIMARY KEY, name TEXT)",
        "CREATE VIEW events AS SELECT 1 AS position",
    ],
)
def test_a_database_of_something_else_is_refused_and_left_as_it_is(tmp_path: Path, made: str) -> None:
    path = tmp_path / "shop.sqlite"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(made)
    before = path.read_bytes()
    with pytest.raises(OutboxError, match="a database of something else; it is no outbox: set another `outbox.path`"):
        Outbox(OutboxSettings(path=path))
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["shop.sqlite"]


@pytest.mark.parametrize(
    ("name", "damaged"), [(b"events (\n    position", b"fvents (\n    position"), (b"camera TEXT", b"cambra TEXT")]
)
def test_an_outbox_whose_table_has_lost_a_name_is_no_database_of_something_else(
    tmp_path: Path, name: bytes, damaged: bytes
) -> None:
    bounds = OutboxSettings(path=tmp_path / "box.sqlite")
    Outbox(bounds).close()
    content = bounds.path.read_bytes()
    assert name in content
    bounds.path.write_bytes(content.replace(name, damaged))
    with pytest.raises(OutboxError, match=r"box\.sqlite: .*the file is damaged: keep it, `sqlite3 FILE \.recover`"):
        Outbox(bounds)


def test_a_damaged_name_of_a_column_is_told_as_damage(tmp_path: Path) -> None:
    bounds = OutboxSettings(path=tmp_path / "box.sqlite")
    Outbox(bounds).close()
    content = bounds.path.read_bytes()
    assert b"digest BLOB" in content
    bounds.path.write_bytes(content.replace(b"digest BLOB", b"diges\xff BLOB"))
    with pytest.raises(OutboxError, match=r"box\.sqlite: .*damaged"):
        Outbox(bounds)


def test_a_file_system_without_locks_is_not_taken_for_another_station(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(OutboxError, match=r"gives no lock \(No locks available\); set `outbox.path`"):
        OutboxFile(tmp_path / "box.sqlite")
