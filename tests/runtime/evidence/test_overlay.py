"""Exhibits: what a person is shown of a part."""

import numpy as np
import pytest

from core.pictures.tiles import FAILED_BGR
from runtime.evidence.overlay import draw, jpeg, times
from runtime.parts.verdict import Reason
from tests.pictures import read_picture
from tests.runtime.part_pictures import part_picture
from tests.runtime.pictures import bad_picture, good_picture

ENLARGED = 20


def redness(picture: np.ndarray) -> np.ndarray:
    return np.all(np.abs(picture.astype(int) - FAILED_BGR) < 40, axis=2)


def camera_picture(picture: np.ndarray) -> np.ndarray:
    """What a camera of more pixels than the model has would have seen."""
    return np.kron(picture, np.ones((ENLARGED, ENLARGED, 1), np.uint8))


def test_only_the_failed_tile_is_framed_and_heated_at_the_pictures_own_size() -> None:
    plain = camera_picture(bad_picture(1))
    picture = draw(plain, part_picture(1))
    assert picture.shape == plain.shape
    third = len(picture) // 3
    framed = redness(picture)
    assert framed[third : 2 * third, third : 2 * third].any()
    framed[third : 2 * third, third : 2 * third] = False
    assert not framed.any()
    changed = np.abs(picture.astype(int) - plain).max(axis=2) > 60
    assert changed[third : 2 * third, third : 2 * third].mean() > 0.05
    assert changed[5 : third - 5, 5 : third - 5].mean() < 0.02


def test_a_good_part_looks_like_itself_with_a_grid_over_it() -> None:
    plain = camera_picture(good_picture(2))
    picture = draw(plain, part_picture(2, bad=False))
    assert not redness(picture).any()
    assert np.median(np.abs(picture.astype(int) - plain)) < 5


def test_a_grey_picture_is_drawn_over_in_colour_and_stays_as_it_is() -> None:
    grey = camera_picture(bad_picture(1))[:, :, 0].copy()
    before = grey.copy()
    assert redness(draw(grey, part_picture(1))).any()
    assert (grey == before).all()
    assert read_picture(jpeg(grey)).shape[:2] == grey.shape


def test_a_part_without_errors_is_drawn_without_heat() -> None:
    shown = part_picture(3, faults=(Reason.ENGINE_FAULT,))
    assert shown.judgement.errors is None
    assert not redness(draw(camera_picture(bad_picture(3)), shown)).any()


@pytest.mark.parametrize("side", [300, 700, 2000])
def test_the_black_around_a_figure_is_no_figure_of_its_own(side: int) -> None:
    """Seen under it to one side, 2.6 reads as 2.8."""
    drawn = draw(np.full((side, side, 3), 128, np.uint8), part_picture(1))[side // 3 : side * 2 // 3, side // 3 :]
    frame = max(1, side // 320) * 6
    tile = drawn[frame : -frame or None, frame : side // 3 - frame].astype(int)
    white, black = (np.argwhere(np.abs(tile - grey).max(axis=2) < 60) for grey in (255, 0))
    beyond = np.concatenate([white.min(axis=0) - black.min(axis=0), black.max(axis=0) - white.max(axis=0)])
    assert np.ptp(beyond) <= max(1, side // 320)


def test_what_failed_never_reads_as_its_threshold() -> None:
    assert [times(ratio) for ratio in (1.03, 1.1, 1.46, 12.3)] == ["1.03", "1.1", "1.5", "12.3"]


def test_jpeg_keeps_the_picture() -> None:
    picture = good_picture(4)
    again = read_picture(jpeg(picture))
    assert np.abs(again.astype(int) - picture).mean() < 8
