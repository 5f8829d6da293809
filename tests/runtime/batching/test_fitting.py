"""Fitting on the CPU: of whatever layout and region, as if the whole frame had got its colours first."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.errors import DataError
from core.pictures.picture import crop, fit
from runtime.batching.fitting import fit_on_cpu
from runtime.parts.layout import Layout, to_bgr

SIDE = 40


def frame_of(layout: Layout, seed: int = 0) -> NDArray[np.uint8]:
    shape = (SIDE, SIDE + 3, 3) if layout in ("BGR", "RGB") else (SIDE, SIDE + 3)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@settings(max_examples=150, deadline=None)
@given(
    layout=st.sampled_from(get_args(Layout)),
    begins=st.none() | st.tuples(st.integers(0, SIDE - 1), st.integers(0, SIDE - 1)),
    ends=st.tuples(st.integers(1, SIDE), st.integers(1, SIDE)),
    row=st.tuples(st.integers(1, 12), st.integers(1, 12)),
)
def test_the_colours_of_a_region_are_those_of_the_whole_frame(
    layout: Layout, begins: tuple[int, int] | None, ends: tuple[int, int], row: tuple[int, int]
) -> None:
    pixels = frame_of(layout)
    roi = None
    if begins is not None:
        width, height = (max(1, min(end, SIDE - begin)) for begin, end in zip(begins, ends, strict=True))
        roi = (*begins, width, height)
    whole = to_bgr(pixels, layout)
    own, of_whole = np.zeros((*row, 3), np.uint8), np.zeros((*row, 3), np.uint8)
    judged = fit_on_cpu(pixels, layout, own, roi)
    fit(whole, of_whole, roi)
    assert np.array_equal(own, of_whole)
    assert np.array_equal(judged(), crop(whole, roi))


@pytest.mark.parametrize("layout", get_args(Layout))
def test_a_region_outside_is_refused_and_the_camera_s_own_pixels_stay(layout: Layout) -> None:
    pixels = frame_of(layout)
    before = pixels.copy()
    with pytest.raises(DataError, match="does not lie within"):
        fit_on_cpu(pixels, layout, np.zeros((4, 4, 3), np.uint8), (30, 30, 20, 5))
    fit_on_cpu(pixels, layout, np.zeros((*pixels.shape[:2], 3), np.uint8))
    assert np.array_equal(pixels, before)
