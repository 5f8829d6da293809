"""Block ids: a gap is a frame that nobody saw, also where the numbers begin anew after the largest."""

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.cameras.factory.block_ids import LARGEST_16, LARGEST_GAP, missed, missed_at_first


def of_16_bits(number: int) -> int:
    """The id of a camera's frame, counted from 0, of GigE Vision 1: from 1 to 65535, and again."""
    return number % LARGEST_16 + 1


def of_64_bits(number: int) -> int:
    """The same of one of GigE Vision 2 or USB3 Vision."""
    return number


@given(
    st.integers(0, 10**6),
    st.lists(st.integers(0, LARGEST_GAP - 1), max_size=30),
    st.sampled_from([of_16_bits, of_64_bits]),
)
def test_all_that_was_lost_between_frames_is_counted(start: int, gaps: list[int], id_of: Callable[[int], int]) -> None:
    numbers = [start, *(start + step for step in itertools.accumulate(gap + 1 for gap in gaps))]
    ids = [id_of(number) for number in numbers]
    assert [missed(last, block_id) for last, block_id in itertools.pairwise(ids)] == gaps


@given(st.integers(LARGEST_GAP + 2, LARGEST_16 - LARGEST_GAP - 2))
def test_a_camera_that_counts_anew_is_told_from_one_that_lost_frames(last: int) -> None:
    assert missed(last, 1) is None
    assert missed(last, last) is None
    assert missed(1, 1 + last) is None


@given(st.integers(0, LARGEST_GAP // 2), st.integers(0, LARGEST_GAP // 2))
def test_a_camera_of_16_bits_that_counts_from_0_goes_on_with_0(before: int, behind: int) -> None:
    assert missed(LARGEST_16 - before, 0) == before
    assert missed(0, behind + 1) == behind


@given(st.integers(LARGEST_16 + 1, 2**64 - 1), st.integers(0, LARGEST_16))
def test_a_camera_that_counts_further_than_16_bits_has_counted_anew_where_its_numbers_fall(
    last: int, next_: int
) -> None:
    assert missed(last, next_) is None


@pytest.mark.parametrize(
    ("block_id", "earlier", "lost"),
    [(0, None, 0), (1, None, 0), (3, None, 2), (65401, None, 0), (1, 9000, 0), (3, 9000, 2), (9003, 9000, 0)],
)
def test_what_is_lost_before_the_first_frame_is_counted_where_the_camera_begins_anew(
    block_id: int, earlier: int | None, lost: int
) -> None:
    assert missed_at_first(block_id, earlier, 0.0) == lost


@pytest.mark.parametrize(
    ("block_id", "since_s", "lost"),
    [(41, 0.05, 40), (101, 0.1, 100), (437, 0.05, 0), (437, 3600.0, 0), (101, 0.05, 0)],
)
def test_a_camera_that_counted_before_is_told_from_one_that_lost_a_burst_at_first(
    block_id: int, since_s: float, lost: int
) -> None:
    assert missed_at_first(block_id, None, since_s) == lost


def test_a_camera_that_has_counted_anew_is_believed_what_it_lost_since() -> None:
    assert missed_at_first(437, 9000, 0.05) == 436
