"""Trends: when it is said that good parts come closer to the threshold."""

from statistics import median, quantiles

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.monitoring.drift import RECENT, REFERENCE, SHOWN, Trend
from runtime.parts.verdict import Judgement, Verdict


def part(margin: float | None, verdict: Verdict = Verdict.OK) -> Judgement:
    return Judgement(verdict, (), None, (), margin)


def margins(seed: int, count: int, centre: float = 0.4) -> list[float]:
    return np.random.default_rng(seed).normal(centre, 0.05, count).tolist()


def filled(recent: list[float]) -> Trend:
    trend = Trend()
    for margin in margins(0, REFERENCE) + recent:
        trend.add(part(margin), "t1")
    return trend


def test_an_unchanged_line_never_warns() -> None:
    trend = filled([])
    for margin in margins(1, 20_000):
        trend.add(part(margin), "t1")
        assert not trend.drifts


def test_parts_that_come_closer_to_the_threshold_warn_within_one_window() -> None:
    assert filled(margins(2, RECENT, centre=0.3)).drifts


def test_parts_that_get_better_do_not_warn() -> None:
    assert not filled(margins(3, RECENT, centre=0.6)).drifts


@given(st.integers(0, 2**32 - 1), st.floats(0.2, 0.5), st.integers(0, 3 * RECENT))
@settings(max_examples=50, deadline=None)
def test_the_last_parts_are_held_against_the_first_and_nothing_is_said_before(
    seed: int, centre: float, more: int
) -> None:
    reference, recent = margins(seed, REFERENCE), margins(seed + 1, more, centre)
    trend = Trend()
    for number, margin in enumerate(reference + recent, start=1):
        trend.add(part(margin), "t1")
        has_enough = number >= REFERENCE + RECENT
        last = recent[: number - REFERENCE][-RECENT:]
        assert trend.drifts == (has_enough and median(last) < quantiles(reference, n=10)[0])


@pytest.mark.parametrize("verdict", [Verdict.NOT_OK, Verdict.NOT_DECIDABLE])
def test_only_good_parts_count(verdict: Verdict) -> None:
    trend = filled([])
    for _ in range(RECENT):
        trend.add(part(-3.0, verdict), "t1")
    assert not trend.drifts
    assert len(trend.shown) == SHOWN


def test_new_thresholds_begin_a_new_reference() -> None:
    trend = filled(margins(2, RECENT, centre=0.3))
    trend.add(part(0.1), "t2")
    assert not trend.drifts
    assert trend.usual is None
