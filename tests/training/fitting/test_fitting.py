"""Fitting: a training's points to resume from."""

import errno
from pathlib import Path

import pytest

from training.fitting.fitting import WrittenWhole
from training.fitting.resume_point import read_point


def test_a_full_disk_leaves_the_point_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    point = tmp_path / "resume" / "decoder-1.ckpt"
    WrittenWhole().save_checkpoint({"epoch": 1}, point)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))  # nothing is written anywhere else first
    WrittenWhole().save_checkpoint({"epoch": 2}, point)

    def half(file: Path, content: memoryview) -> int:
        with file.open("wb") as opened:
            opened.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(OSError, match=r"No space left on device: .*decoder-1.ckpt"):
        WrittenWhole().save_checkpoint({"epoch": 3}, point)
    assert read_point(point) == {"epoch": 2}
    assert [file.name for file in point.parent.iterdir()] == [point.name]
