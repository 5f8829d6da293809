"""Files: whole or not at all."""

import errno
import os
from pathlib import Path
from threading import Thread

import pytest

from core.errors import ConfigError
from core.files import (
    alone,
    becoming,
    common_folder,
    flush,
    make_folder,
    naming,
    read_now,
    told_apart,
    whole,
    write_whole,
)


def test_a_file_is_replaced_whole_and_nothing_is_left_beside(tmp_path: Path) -> None:
    write_whole(tmp_path / "a.json", b"old")
    write_whole(tmp_path / "a.json", b"new")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("a.json", b"new")]


def test_what_a_power_cut_must_not_empty_is_on_the_disk_before_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[tuple[str, bool]] = []
    file = tmp_path / "a.json"
    monkeypatch.setattr(
        os, "fsync", lambda opened: flushed.append((os.readlink(f"/proc/self/fd/{opened}"), file.exists()))
    )
    write_whole(file, b"kept", is_flushed=True)
    assert flushed == [(str(tmp_path / ".a.json.part"), False)]
    (tmp_path / "folder" / "within").mkdir(parents=True)
    (tmp_path / "folder" / "within" / "b").touch()
    (tmp_path / "folder" / "link").symlink_to("nowhere")
    flushed.clear()
    flush(tmp_path / "folder")
    assert {Path(name).name for name, _ in flushed} == {"folder", "within", "b"}


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "a.json").mkdir()
    (tmp_path / "file").touch()
    for place in (tmp_path / "a.json", tmp_path / "absent" / "b.json", tmp_path / "file" / "c.json"):
        with pytest.raises(OSError, match="irectory") as raised:
            write_whole(place, b"new")
        assert str(raised.value).endswith(f": '{place}'"), "not the part that was written"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.json", "file"]


def test_what_is_stopped_or_cannot_be_put_into_it_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("old")
    for fault in (KeyboardInterrupt(), UnicodeError(), FileNotFoundError(errno.ENOENT, "No such file", "another")):
        with pytest.raises(type(fault)) as raised:
            _write_until(fault, tmp_path / "a.csv")
        assert raised.value is fault
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.csv", "old")]


def _write_until(fault: BaseException, file: Path) -> None:
    with becoming(file) as part:
        part.write_text("half")
        raise fault


def test_on_a_disk_that_takes_nothing_the_file_is_named_that_was_to_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(OSError, match=r"Read-only file system: '.*/a\.json'"):
        write_whole(tmp_path / "a.json", b"new")


def test_a_full_disk_is_told_with_the_file_that_was_to_be_written(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"No space left on device: '.*a\.json'"), naming(tmp_path / "a.json"):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match="absent"), naming(tmp_path / "a.json"):
        (tmp_path / "absent").read_bytes()


def test_one_process_at_a_time_has_a_folder(tmp_path: Path) -> None:
    with alone(tmp_path / "work"):
        with pytest.raises(ConfigError, match="another process is at work there"), alone(tmp_path / "work"):
            pass
        assert (tmp_path / "work").is_dir()
    assert not (tmp_path / "work").exists()
    with alone(tmp_path / "work"):
        (tmp_path / "work" / "result").touch()
    assert (tmp_path / "work" / "result").exists()


def test_a_file_where_a_folder_is_wanted_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="is a file; name a folder"):
        make_folder(tmp_path / "file")
    with pytest.raises(ConfigError, match="cannot be made"):
        make_folder(tmp_path / "file" / "below")


def test_files_that_hold_the_same_share_a_mark_and_what_is_no_file_or_empty_shares_none(tmp_path: Path) -> None:
    for name, content in (("a", b"one"), ("copy", b"one"), ("as-long", b"two"), ("longer", b"three")):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "hard").hardlink_to(tmp_path / "a")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    a, *same = told_apart([tmp_path / name for name in ("a", "copy", "hard", "link")])
    assert same == [a] * 3
    for name in ("empty", "empty-too"):
        (tmp_path / name).touch()
    for name in ("pipe", "pipe-too"):
        os.mkfifo(tmp_path / name)
    others = ("as-long", "longer", "empty", "empty-too", "pipe", "pipe-too", "absent", "absent-too")
    assert len({a, *told_apart([tmp_path / name for name in ("a", *others)])}) == 1 + len(others)


@pytest.mark.timeout(20)
def test_a_pipe_is_read_from_who_writes_and_refused_where_nobody_does(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="nobody writes to it"):
        read_now(tmp_path / "pipe")
    reading, writing = os.pipe()
    writer = Thread(target=lambda: (os.write(writing, b"late"), os.close(writing)))
    reader: list[bytes] = []
    waiting = Thread(target=lambda: reader.append(read_now(Path(f"/proc/self/fd/{reading}"))))
    waiting.start()
    writer.start()
    waiting.join()
    os.close(reading)
    assert reader == [b"late"]


@pytest.mark.timeout(20)
def test_a_pipe_that_is_held_open_without_a_word_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.files.SILENT_S", 0.05)
    reading, writing = os.pipe()
    with pytest.raises(OSError, match="nothing came through it"):
        read_now(Path(f"/proc/self/fd/{reading}"))
    os.close(writing)
    os.close(reading)


def test_no_more_is_read_than_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(3_000_000))
    assert [len(read_now(tmp_path / "large", most)) for most in (-1, 0, 5, 4_000_000)] == [3_000_000, 0, 5, 3_000_000]


def test_a_file_has_one_name_from_wherever_its_folder_is_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "parts" / "monday").mkdir(parents=True)
    (tmp_path / "link").symlink_to("parts/monday")
    (tmp_path / "parts/monday/a.png").symlink_to("/elsewhere/0f3b")
    monkeypatch.chdir(tmp_path / "parts")
    for given in ("monday/a.png", "../parts/monday/a.png", "../link/a.png", str(tmp_path / "link/a.png")):
        assert whole(Path(given)) == tmp_path / "parts/monday/a.png"
        assert common_folder([Path(given)]) == tmp_path / "parts/monday"
        assert common_folder([Path(given), tmp_path / "parts" / "b.png"]) == tmp_path / "parts"


def test_a_fault_without_a_number_keeps_its_words(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"the share went away.*a\.json"), becoming(tmp_path / "a.json"):
        raise OSError("the share went away")
