"""What is new in a watched folder, look by look."""

import errno
import os
import time
from pathlib import Path

import pytest

from core.pictures.picture import list_folder
from runtime.cameras.folders import folder_look
from runtime.cameras.folders.newcomers import Newcomers
from tests.runtime.pictures import write_pictures


@pytest.mark.parametrize("becomes", ["gone", "renamed"])
def test_what_goes_before_it_is_given_is_no_fault_and_what_it_becomes_is_given(tmp_path: Path, becomes: str) -> None:
    newcomers = Newcomers(tmp_path, unreadable_after_s=10.0)
    assert newcomers.settled(now_s=100.0) == {}, "a look at all, after which the next comes a second later"
    upload = write_pictures(tmp_path, good=1) / "00000.png"
    assert newcomers.settled(now_s=100.1) == {}
    named = tmp_path / "part.png"
    if becomes == "gone":
        upload.unlink()
    else:
        upload.rename(named)
    assert newcomers.settled(now_s=100.2) == {}
    assert newcomers.are_waiting == (becomes == "renamed")
    assert set(newcomers.settled(now_s=100.3)) == ({named} if becomes == "renamed" else set())


def test_a_folder_that_may_not_be_looked_into_is_told_and_what_lies_beside_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed, open_one = tmp_path / "closed", write_pictures(tmp_path / "open", good=1) / "00000.png"
    hidden = write_pictures(closed, good=1) / "00000.png"

    def refuse(folder: Path, odd: list[Path] | None = None) -> list[tuple[Path, bool]]:  # root may look anywhere
        if folder == closed:
            raise PermissionError(errno.EACCES, "Permission denied")
        return list_folder(folder, odd)

    monkeypatch.setattr(folder_look, "list_folder", refuse)
    newcomers = Newcomers(tmp_path, unreadable_after_s=10.0)
    assert newcomers.settled(now_s=100.0) == {}
    assert set(newcomers.settled(now_s=100.1)) == {open_one}
    assert newcomers.problem.startswith(f"{closed} cannot be looked at (Permission denied), and is not judged")
    monkeypatch.undo()
    assert hidden not in newcomers.settled(now_s=100.2)
    assert newcomers.problem == ""
    assert hidden in newcomers.settled(now_s=100.3)


def test_a_picture_in_a_folder_that_may_be_listed_and_not_entered_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = write_pictures(tmp_path / "closed", good=1) / "00000.png"
    stat = Path.stat

    def refuse(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if path == closed:
            raise PermissionError(errno.EACCES, "Permission denied")
        return stat(path, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", refuse)
    newcomers = Newcomers(tmp_path, unreadable_after_s=10.0)
    begun_s = time.monotonic()
    for after_s in (0.0, 0.1, 2.0):
        assert newcomers.settled(begun_s + after_s) == {}
        assert newcomers.problem.startswith(f"{closed} cannot be looked at (Permission denied)")
    monkeypatch.undo()
    newcomers.settled(begun_s + 4.0)
    assert newcomers.problem == ""
    assert closed in newcomers.settled(begun_s + 4.1)
