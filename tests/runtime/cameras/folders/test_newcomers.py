"""What is new in a watched folder, look by look."""

from pathlib import Path

import pytest

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
