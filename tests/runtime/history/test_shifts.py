"""Shifts: which one a moment lies in."""

import datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.history.shifts import shift_start

THREE = [datetime.time(6), datetime.time(14), datetime.time(22)]
times = st.times().map(lambda each: each.replace(second=0, microsecond=0))


@pytest.mark.parametrize(
    ("at", "start"),
    [
        ("2026-11-23T06:00", "2026-11-23T06:00"),
        ("2026-11-23T13:59", "2026-11-23T06:00"),
        ("2026-11-23T23:30", "2026-11-23T22:00"),
        ("2026-11-23T05:59", "2026-11-22T22:00"),
    ],
)
def test_a_shift_goes_on_over_midnight(at: str, start: str) -> None:
    assert shift_start(datetime.datetime.fromisoformat(at).timestamp(), THREE) == start


@given(at_s=st.lists(st.floats(1e9, 3e9), min_size=2), begins=st.lists(times, min_size=1))
def test_later_parts_are_of_the_same_shift_or_a_later_one(at_s: list[float], begins: list[datetime.time]) -> None:
    starts = [shift_start(each, begins) for each in sorted(at_s)]
    assert all(one <= other for one, other in pairwise(starts))
    assert {datetime.datetime.fromisoformat(start).time() for start in starts} <= set(begins)
