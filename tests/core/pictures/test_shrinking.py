"""Shrinking: the average over areas, as OpenCV works it out."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.pictures.shrinking import TOGETHER, WORTH_IT, shrink


def shares(size: int, small: int) -> NDArray[np.float64]:
    """How much of each pixel belongs to each of the small picture: (small, size)."""
    begins, step = np.arange(small)[:, None] * size / small, size / small
    pixels = np.arange(size)
    return (np.minimum(pixels + 1, begins + step) - np.maximum(pixels, begins)).clip(0) / step


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 2 * TOGETHER + 3),
    columns=st.integers(1, 12),
    more_rows=st.integers(0, 300),
    more_columns=st.integers(0, 40),
    channels=st.sampled_from([(), (3,)]),
    seed=st.integers(0, 9),
)
def test_each_pixel_is_the_average_of_its_area(
    rows: int, columns: int, more_rows: int, more_columns: int, channels: tuple[int, ...], seed: int
) -> None:
    size = (WORTH_IT * rows + more_rows, columns + more_columns)
    frame = np.random.default_rng(seed).choice(np.array([0, 1, 254, 255], np.uint8), (*size, *channels))
    small = np.zeros((rows, columns, *channels), np.uint8)
    shrink(frame, small)
    averages = np.einsum("ry,cx,yx...->rc...", shares(size[0], rows), shares(size[1], columns), frame.astype(float))
    assert np.abs(small - averages).max() < 0.51


@pytest.mark.parametrize("size", [(2048, 2448), (2047, 1001), (600, 800), (288, 800), (60, 40)])
@pytest.mark.parametrize("side", [(144, 144), (150, 97)])
def test_of_edges_and_noise_it_gives_what_opencv_gives_within_one_grey_level(
    size: tuple[int, int], side: tuple[int, int]
) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    frame[:, 13::29] = 255
    frame[7::31] = 0
    region = frame[3:-2, 5:-4]
    small = np.zeros((*side, 3), np.uint8)
    shrink(region, small)
    theirs = cv2.resize(region, side[::-1], interpolation=cv2.INTER_AREA)
    difference = np.abs(small.astype(int) - theirs)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.001
