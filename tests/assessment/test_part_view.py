from pathlib import Path

import cv2
import numpy as np
import pytest

from assessment.part_view import read_view
from core.datasets.dataset import Sample
from core.pictures.geometry import ModelInput


@pytest.mark.parametrize("left", [None, b"", b"half of a picture"])
def test_a_picture_that_is_gone_or_damaged_since_it_was_judged_is_told_and_grey(
    left: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "a.png"
    cv2.imwrite(str(picture), np.full((40, 60, 3), 200, np.uint8))
    assert (read_view(Sample(picture), ModelInput(24, 36), 30) == 200).all()
    if left is None:
        picture.unlink()
    else:
        picture.write_bytes(left)
    shown = read_view(Sample(picture), ModelInput(24, 36), 30)
    assert shown.shape == (24, 36, 3)
    assert (shown == 128).all()
    assert f"not shown, since it can no longer be read: {picture}" in capsys.readouterr().err
