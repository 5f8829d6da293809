"""Exhibits: what a person is shown of a part."""

import cv2
import numpy as np

from runtime.evidence.overlay import FAILED_BGR, draw, jpeg
from runtime.parts.verdict import Reason
from tests.pictures import read_picture
from tests.runtime.part_pictures import part_picture


def redness(picture: np.ndarray) -> np.ndarray:
    return np.all(np.abs(picture.astype(int) - FAILED_BGR) < 40, axis=2)


def test_only_the_failed_tile_is_framed_and_heated() -> None:
    shown = part_picture(1)
    picture = draw(shown)
    third = len(picture) // 3
    framed = redness(picture)
    assert framed[third : 2 * third, third : 2 * third].any()
    framed[third : 2 * third, third : 2 * third] = False
    assert not framed.any()
    plain = cv2.resize(shown.frame_bgr_u8, (len(picture), len(picture)), interpolation=cv2.INTER_LINEAR)
    changed = np.abs(picture.astype(int) - plain).max(axis=2) > 60
    assert changed[third : 2 * third, third : 2 * third].mean() > 0.05
    assert changed[5 : third - 5, 5 : third - 5].mean() < 0.02


def test_a_good_part_looks_like_itself_with_a_grid_over_it() -> None:
    shown = part_picture(2, bad=False)
    picture = draw(shown)
    plain = cv2.resize(shown.frame_bgr_u8, (len(picture), len(picture)), interpolation=cv2.INTER_LINEAR)
    assert not redness(picture).any()
    assert np.median(np.abs(picture.astype(int) - plain)) < 5


def test_a_part_without_errors_is_drawn_without_heat() -> None:
    shown = part_picture(3, faults=(Reason.UNREADABLE,))
    assert shown.judgement.errors is None
    assert not redness(draw(shown)).any()


def test_jpeg_keeps_the_picture() -> None:
    picture = part_picture(4).frame_bgr_u8
    again = read_picture(jpeg(picture))
    assert np.abs(again.astype(int) - picture).mean() < 8
