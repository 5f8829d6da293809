"""Block ids: a gap is a frame that nobody saw, also where the numbers begin anew after the largest."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from runtime.cameras.factory.block_ids import LARGEST_16, LARGEST_GAP, missed


def of_16_bits(number: int) -> int:
    """The id of a camera's frame, counted from 0, of GigE Vision 1: from 1 to 65535, and again."""
    return number % LARGEST_16 + 1


@given(st.integers(0, 10**6), st.lists(st.integers(0, LARGEST_GAP - 1), max_size=30), st.booleans())
def test_all_that_was_lost_between_frames_is_counted(start: int, gaps: list[int], is_16_bits: bool) -> None:
    numbers = [start, *(start + step for step in itertools.accumulate(gap + 1 for gap in gaps))]
    ids = [of_16_bits(number) if is_16_bits else number for number in numbers]
    assert [missed(last, block_id) for last, block_id in itertools.pairwise(ids)] == gaps


@given(st.integers(LARGEST_GAP + 2, LARGEST_16 - LARGEST_GAP - 2))
def test_a_camera_that_counts_anew_is_told_from_one_that_lost_frames(last: int) -> None:
    assert missed(last, 1) is None
    assert missed(last, last) is None
    assert missed(1, 1 + last) is None
