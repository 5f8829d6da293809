"""What `train-model init` finds odd of pictures, and of which."""

from pathlib import Path

import numpy as np
import pytest

from tests.pictures import draw_part, write_picture
from training.looking.findings import findings
from training.looking.survey import survey


def found(folder: Path, bits: int | None = None) -> str:
    seen = survey(str(folder), None, bits)
    return "\n".join(findings(seen, [picture.size for picture in seen.good], 48))


@pytest.mark.parametrize(("few", "most"), [(12, 16), (8, 12)])
def test_files_of_sixteen_bits_that_hold_far_fewer_than_others_are_named(tmp_path: Path, few: int, most: int) -> None:
    for seed in range(8):
        bits = few if seed in (2, 5) else most
        write_picture(tmp_path / f"{seed}.png", draw_part(seed).astype(np.uint16) * np.uint16(2 ** (bits - 8)))
    told = found(tmp_path, most)
    assert f"files of 16 bits that hold {few} or fewer, beside others that hold {most}: nearly black" in told
    named = [line for line in told.splitlines() if line.startswith("- ") and line.endswith(".png")]
    assert {f"- {tmp_path / name}" for name in ("2.png", "5.png")} <= set(named)


def test_of_pictures_of_which_some_are_darker_nothing_is_said_of_bits(tmp_path: Path) -> None:
    for seed in range(8):
        write_picture(tmp_path / f"{seed}.png", draw_part(seed).astype(np.uint16) * (257 if seed % 2 else 60))
    assert "files of 16 bits" not in found(tmp_path)
