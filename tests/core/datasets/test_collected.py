"""What is known of collected pictures is kept beside them; where nobody says anything, nothing is known."""

from pathlib import Path

import pytest

from core.datasets.collected import FILE, Collected, load_collected, save_collected
from core.errors import DataError
from tests.full_disk import full_disk


@pytest.mark.parametrize("again", [True, False])
def test_what_is_kept_is_read_again(tmp_path: Path, again: bool) -> None:
    save_collected(tmp_path, Collected(may_show_a_part_again=again))
    assert load_collected(tmp_path).may_show_a_part_again is again


def test_of_other_folders_nothing_is_known(tmp_path: Path) -> None:
    assert not load_collected(tmp_path).may_show_a_part_again


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b'{"may_show_a_part_again": "often"}'])
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(DataError, match=rf"{FILE}: cannot be read, or is damaged; remove it"):
        load_collected(tmp_path)


def test_a_full_disk_is_told_with_the_file_and_leaves_no_half_of_it(tmp_path: Path) -> None:
    with full_disk(5), pytest.raises(OSError, match=FILE):
        save_collected(tmp_path, Collected())
    assert not list(tmp_path.iterdir())
