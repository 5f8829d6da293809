"""The delay of a stream: frames held up on their way are told from new ones by the stream's own clock."""

from hypothesis import given
from hypothesis import strategies as st

from runtime.cameras.delay import Backlog


@given(
    st.lists(st.floats(0.01, 0.1), min_size=5, max_size=40),
    st.floats(2.0, 20.0),
    st.floats(-5e-4, 5e-4),
    st.floats(-1e6, 1e6),
)
def test_a_backlog_is_told_from_new_frames(steps_s: list[float], pause_s: float, drift: float, offset_s: float) -> None:
    """Whatever the stream's clock says and however it drifts: frames on time are new, frames held up are old."""
    backlog = Backlog(1.0)
    now_s = 100.0
    for step_s in steps_s:
        now_s += step_s
        assert not backlog.is_old(offset_s + now_s * (1 + drift), now_s)
    behind_s = now_s + pause_s
    for number in range(1, 6):
        assert backlog.is_old(offset_s + (now_s + 0.04 * number) * (1 + drift), behind_s + 0.001 * number)
    assert not backlog.is_old(offset_s + (behind_s + 0.1) * (1 + drift), behind_s + 0.1)


def test_a_clock_that_stands_still_makes_no_frame_old_and_is_lost_after_silence() -> None:
    backlog = Backlog(1.0)
    assert not any(backlog.is_old(0.0, 10.0 + number) for number in range(20))
    assert not backlog.is_lost
    backlog.is_old(0.0, 31.0)
    assert backlog.is_lost


def test_a_clock_that_jumps_back_is_lost_behind_a_frame_that_was_held_up() -> None:
    backlog = Backlog(1.0)
    assert not any(backlog.is_old(number, 10.0 + number) for number in (1.0, 2.0))
    assert backlog.is_old(2.04, 14.0)
    assert not backlog.is_lost
    backlog.is_old(0.0, 14.04)
    assert backlog.is_lost


def test_a_stream_whose_clock_jumps_is_not_refused_for_ever() -> None:
    backlog = Backlog(1.0)
    assert not backlog.is_old(0.0, 10.0)
    old = [backlog.is_old(number * 0.04, 20.0 + number * 0.04) for number in range(1, 200)]
    assert old[0]
    assert not old[-1]
    assert not backlog.is_old(0.0, 30.0)


def test_a_damaged_frame_which_tells_no_time_makes_what_is_held_up_behind_it_no_newer() -> None:
    backlog = Backlog(1.0)
    assert not any(backlog.is_old(3600 + number, 100.0 + number) for number in (1.0, 1.5, 2.0))
    assert not any(backlog.is_old(0.0, now_s) for now_s in (102.5, 103.0, 103.5))
    assert not backlog.is_lost
    assert backlog.is_old(3604.0, 110.0)
    assert not backlog.is_old(3610.1, 110.1)


def test_a_clock_that_is_told_no_more_is_lost_after_silence() -> None:
    backlog = Backlog(1.0)
    assert not backlog.is_old(1.0, 101.0)
    assert not any(backlog.is_old(0.0, 101.0 + number / 2) or backlog.is_lost for number in range(1, 20))
    backlog.is_old(0.0, 120.0)
    assert backlog.is_lost
