"""The delay of a stream: frames held up on their way are told from new ones by the stream's own clock."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.cameras.delay import CREEP, DRAIN_S, Backlog
from runtime.cameras.frame_buffer import LatestFrame
from runtime.cameras.free_running import read_freely
from runtime.cameras.intake import Intake
from runtime.cameras.settings import RtspSettings
from runtime.parts.frame import Frame
from runtime.parts.moment import Moment


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


@pytest.mark.parametrize("rate", [0.5, 0.8, 0.96])
def test_a_clock_that_is_slow_costs_one_look_for_a_backlog_and_no_more(rate: float) -> None:
    """As of a camera that counts 25 frames a second and gives 24, or half as many in the dark."""
    backlog = Backlog(2.0)
    old = [backlog.is_old(rate * number * 0.05, 100 + number * 0.05) for number in range(20 * 600)]
    assert 0 < sum(old) <= (DRAIN_S + 1) / 0.05
    assert backlog.creep == pytest.approx(1 - rate, abs=0.01)
    behind_s = 100 + 20 * 600 * 0.05 + 20.0
    assert backlog.is_old(rate * 20 * 600 * 0.05, behind_s), "what was held up is told from new frames all the same"


def test_a_clock_that_jumps_is_not_taken_for_a_slow_one() -> None:
    backlog = Backlog(1.0)
    for number in range(200):
        backlog.is_old(number * 0.05, 100 + number * 0.05 + (5.0 if number > 20 else 0.0))
    assert backlog.creep == CREEP


def test_a_camera_whose_clock_is_slow_is_told_of_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun_s = now_s = time.monotonic()
    taken: list[float] = []

    class Slow:
        def grab(self) -> bool:
            nonlocal now_s
            now_s += 0.05
            return now_s < begun_s + 300

    monkeypatch.setattr("runtime.cameras.free_running.Moment.now", lambda: Moment(0.0, now_s))
    settings = RtspSettings(kind="rtsp", url="rtsp://camera/", frozen_after=None)
    intake = Intake("top", settings, LatestFrame())
    monkeypatch.setattr(intake, "put", lambda frame: taken.append(frame.captured.s))
    read_freely(Slow(), intake, lambda _stream: 0.8 * now_s, lambda _stream, now: Frame(None, now))
    assert caplog.text.count("clock is slow camera=top seconds_a_second=0.80") == 1
    assert len(taken) > 0.97 * 6000


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
