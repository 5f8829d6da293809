import shutil
from pathlib import Path

import numpy as np

from core.calibration import Calibration
from core.files import digest_of


def test_a_part_is_known_by_its_file_by_links_and_as_a_copy(tmp_path: Path) -> None:
    for name in ("a", "b", "other"):
        (tmp_path / name).write_text(f"picture {name}")
    shutil.copyfile(tmp_path / "b", tmp_path / "copy")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    names = (str(tmp_path / "a"), str(tmp_path / "b"), str(tmp_path / "gone"))
    calibration = Calibration(names, np.ones((3, 10)), np.zeros(3, bool), np.arange(3))
    files = [tmp_path / name for name in ("other", "copy", "link", "a", "nowhere")]
    assert calibration.rows_of(files).tolist() == [-1, 1, 0, 0, -1]
    assert calibration.rows_of([]).tolist() == []


def test_a_part_is_known_by_what_its_file_held_wherever_it_lies_now(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(f"picture {name}")
    names = tuple(str(tmp_path / name) for name in ("a", "b", "gone"))
    digests = tuple(digest_of(Path(name)) for name in names)
    calibration = Calibration(names, np.ones((3, 10)), np.zeros(3, bool), np.arange(3), digests=digests)
    (tmp_path / "b").rename(tmp_path / "moved")
    (tmp_path / "b").write_text("filmed again")
    assert calibration.rows_of([tmp_path / name for name in ("moved", "b", "a", "gone")]).tolist() == [1, -1, 0, -1]
