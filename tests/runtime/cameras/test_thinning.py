"""Thinning: a frozen camera is told from one that moves, however little of the frame does."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from runtime.cameras.thinning import SPARSE, Thinning


@given(st.integers(1, 40), st.integers(1, 3), st.data())
def test_a_frame_that_keeps_moving_in_one_row_is_not_alike_for_longer_than_all_rows_take(
    height: int, channels: int, data: st.DataObject
) -> None:
    row = data.draw(st.integers(0, height - 1))
    thinning = Thinning(1, None)
    for number in range(3 * SPARSE):
        frame = np.zeros((height, 5, channels), np.uint8)
        frame[row] = number
        assert thinning.alike([frame]) <= SPARSE


def test_frames_that_stand_still_are_counted() -> None:
    thinning = Thinning(1, None)
    still = np.full((20, 5), 7, np.uint8)
    assert [thinning.alike([still.copy()]) for _ in range(40)] == list(range(1, 41))
    assert thinning.alike([np.full((20, 6), 7, np.uint8)]) == 1
