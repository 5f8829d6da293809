import re
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from core.errors import DataError
from core.thresholds import Thresholds, calibrate, odd_parts, ratios, scores, standing


def errors_of_good_parts(parts: int, seed: int) -> np.ndarray:
    """Correlated, skewed errors of unlike scales, as tiles of a picture have them."""
    rng = np.random.default_rng(seed)
    common = rng.gamma(4, 0.25, (parts, 1))
    return common * rng.gamma(8, 1 / 8, (parts, 10)) * np.geomspace(1e-4, 10, 10)


@pytest.mark.parametrize("rate", [0.02, 0.05, 0.2])
def test_the_promised_false_reject_rate_is_kept_for_fresh_good_parts(rate: float) -> None:
    fresh = errors_of_good_parts(5_000, seed=999)
    rates = [(scores(fresh, calibrate(errors_of_good_parts(100, seed), rate)) > 1).mean() for seed in range(40)]
    assert np.mean(rates) == pytest.approx(rate, rel=0.35)
    assert np.mean(rates) <= rate * 1.2


def test_the_upper_bound_holds_in_about_95_of_100_calibrations() -> None:
    fresh = errors_of_good_parts(5_000, seed=999)
    covered = []
    for seed in range(100):
        thresholds = calibrate(errors_of_good_parts(60, seed), 0.1)
        covered.append((scores(fresh, thresholds) > 1).mean() <= thresholds.false_reject_upper)
    assert 0.88 <= np.mean(covered) <= 1


def test_the_upper_bound_with_odd_parts_holds_where_they_are_good_too() -> None:
    """One good part in eight is of another kind, and is left out of the thresholds where few of it are at hand."""
    rng = np.random.default_rng(0)

    def of_two_kinds(parts: int, seed: int) -> np.ndarray:
        return errors_of_good_parts(parts, seed) * np.where(rng.random((parts, 1)) < 1 / 8, 30, 1)

    fresh = of_two_kinds(20_000, seed=999)
    told = [calibrate(of_two_kinds(60, seed), 0.05) for seed in range(200)]
    rates = np.array([(scores(fresh, thresholds) > 1).mean() for thresholds in told])
    assert np.mean(rates <= [thresholds.false_reject_upper_with_odd for thresholds in told]) >= 0.9
    assert np.mean(rates <= [thresholds.false_reject_with_odd for thresholds in told]) < 0.7, "expected, and no bound"


@given(st.integers(19, 200))
@settings(max_examples=20, deadline=None)
def test_the_expected_rate_never_exceeds_the_asked_one(parts: int) -> None:
    thresholds = calibrate(errors_of_good_parts(parts, parts), 0.05, believe_all=True)
    assert thresholds.false_reject_expected <= 0.05 + 1e-9
    assert thresholds.false_reject_expected < thresholds.false_reject_upper < 1


def test_a_steady_tile_has_a_threshold_nearer_to_its_mean_than_a_restless_one() -> None:
    rng = np.random.default_rng(0)
    errors = np.stack([rng.normal(1, 0.01, 200), rng.normal(1, 0.1, 200)], axis=1)
    steady, restless = calibrate(errors, 0.05).values
    assert steady - 1 == pytest.approx((restless - 1) / 10, rel=0.2)


@pytest.mark.parametrize("parts", [100, 400])
def test_no_output_scales_the_thresholds_of_the_others(parts: int) -> None:
    """Neither by its unit, nor where most parts have one error there and the others any, as at an empty corner."""
    errors = errors_of_good_parts(parts, 0)
    others = np.delete(np.asarray(calibrate(errors, 0.05).values), 7)
    errors[:, 7] *= 1000
    assert np.delete(calibrate(errors, 0.05).values, 7) == pytest.approx(others)
    rng = np.random.default_rng(1)
    errors[:, 7] = np.where(rng.random(parts) < 0.8, 1, np.exp(0.3 * rng.standard_normal(parts)))
    assert np.delete(calibrate(errors, 0.05).values, 7) == pytest.approx(others, rel=0.2)


def test_parts_that_are_all_alike_but_one_give_finite_thresholds() -> None:
    errors = np.ones((5, 10))
    errors[0] = 2
    assert np.isfinite(calibrate(errors, 0.2).values).all()


def test_of_few_parts_the_thresholds_stay_in_proportion_to_the_errors() -> None:
    sets = [errors_of_good_parts(11, seed) for seed in range(50)]
    excess = [(np.asarray(calibrate(errors, 0.1).values) / errors.max(axis=0)).max() for errors in sets]
    assert np.quantile(excess, 0.9) < 10


@pytest.mark.parametrize("far", [2.0, 1e30])
def test_parts_that_differ_beyond_all_bounds_are_refused(far: float) -> None:
    """Their thresholds would reject nothing: 1e20 in the first case, no number in the second."""
    errors = np.repeat([1.0, 1.01, far, far], 10).reshape(4, 10)
    with pytest.raises(DataError, match="look at the pictures"):
        calibrate(errors, 0.25)


def test_one_odd_part_among_those_that_calibrate_does_not_let_everything_pass() -> None:
    errors = errors_of_good_parts(60, 0)
    clean = np.asarray(calibrate(errors, 0.05).values)
    errors[0] *= 20
    assert (np.asarray(calibrate(errors, 0.05).values) < 3 * clean).all()


def test_two_parts_tell_no_deviation() -> None:
    with pytest.raises(DataError, match="give at least 3"):
        calibrate(errors_of_good_parts(2, 0), 0.4)


def test_too_few_parts_are_refused_with_the_number_needed() -> None:
    with pytest.raises(DataError, match="give at least 19, or ask for a rate of 0.06"):
        calibrate(errors_of_good_parts(18, 0), 0.05)
    calibrate(errors_of_good_parts(19, 0), 0.05)


def test_errors_that_are_no_numbers_are_refused() -> None:
    errors = errors_of_good_parts(50, 0)
    errors[3, 3] = np.nan
    with pytest.raises(DataError, match="not finite"):
        calibrate(errors, 0.05)


def test_any_tile_above_its_threshold_rejects_and_the_score_says_by_how_much() -> None:
    thresholds = calibrate(errors_of_good_parts(50, 0), 0.1).model_copy(update={"spreads": ()})
    part = np.asarray(thresholds.values)[None] * 0.5
    assert scores(part, thresholds) == pytest.approx([0.5])
    part[0, 7] *= 6
    assert scores(part, thresholds) == pytest.approx([3.0])
    assert (ratios(part, thresholds) > 1).sum() == 1


def test_scores_are_never_clamped() -> None:
    thresholds = calibrate(errors_of_good_parts(50, 0), 0.1).model_copy(update={"spreads": ()})
    assert scores(np.asarray(thresholds.values)[None] * 1e6, thresholds) == pytest.approx([1e6])


def test_the_id_follows_the_values() -> None:
    one, same = calibrate(errors_of_good_parts(50, 0), 0.1), calibrate(errors_of_good_parts(50, 0), 0.1)
    other = calibrate(errors_of_good_parts(50, 1), 0.1)
    assert one.id == same.id != other.id


def test_the_ranking_is_the_verdicts_own_statistic() -> None:
    """Any error above its threshold puts the score above 1, whatever the others are; a steadier error counts more."""
    errors = errors_of_good_parts(200, 0)
    errors[:, 1] = 1 + (errors[:, 1] / errors[:, 1].mean() - 1) / 20
    thresholds = calibrate(errors, 0.05)
    fresh = errors_of_good_parts(500, 1)
    assert ((scores(fresh, thresholds) > 1) == (ratios(fresh, thresholds) > 1).any(axis=1)).all()
    steady, restless = (np.asarray(thresholds.values)[None].copy() for _ in range(2))
    steady[0, 1] *= 1.1
    restless[0, 2] *= 1.1
    assert scores(steady, thresholds) > scores(restless, thresholds) > 1


@pytest.mark.parametrize(("parts", "odd"), [(400, 20), (60, 3), (30, 2)])
def test_odd_parts_are_fenced_off_named_and_do_not_move_the_thresholds(parts: int, odd: int) -> None:
    errors = errors_of_good_parts(parts, 3)
    clean = np.asarray(calibrate(errors[odd:], 0.1).values)
    errors[:odd, 4] *= 100
    thresholds = calibrate(errors, 0.1)
    assert odd_parts(errors)[:odd].all()
    assert set(np.argsort(-standing(errors))[:odd]) == set(range(odd))
    assert odd <= thresholds.odd <= odd + parts // 20
    assert thresholds.parts == parts - thresholds.odd
    assert (np.asarray(thresholds.values) < 1.5 * clean).all()
    believed = calibrate(errors, 0.1, believe_all=True)
    assert believed.odd == 0
    assert believed.parts == parts


def test_parts_that_are_doubted_set_no_threshold() -> None:
    errors = errors_of_good_parts(60, 3)
    doubted = np.arange(60) < 3
    thresholds = calibrate(errors, 0.1, doubted)
    assert odd_parts(errors, doubted)[:3].all()
    assert thresholds.values == calibrate(errors[3:], 0.1).values
    assert (thresholds.odd, thresholds.parts) == (3 + calibrate(errors[3:], 0.1).odd, 60 - thresholds.odd)
    assert calibrate(errors, 0.1, doubted, believe_all=True).odd == 0


def test_where_the_fence_leaves_too_few_the_rate_says_so() -> None:
    errors = errors_of_good_parts(19, 0)
    errors[0] *= 100
    thresholds = calibrate(errors, 0.05)
    assert thresholds.odd >= 1
    assert thresholds.false_reject_expected == pytest.approx(1 / (thresholds.parts + 1))


@pytest.mark.parametrize(
    ("parts", "remedy"), [(2, "give at least 19."), (8, "give at least 19, or ask for a rate of 0.12.")]
)
def test_no_rate_is_advised_that_so_few_parts_cannot_promise_either(parts: int, remedy: str) -> None:
    with pytest.raises(DataError, match=f"{re.escape(remedy)}$"):
        calibrate(errors_of_good_parts(parts, 0), 0.05)


def test_ten_thousand_parts_are_calibrated_in_seconds() -> None:
    errors = errors_of_good_parts(10_000, 0)
    started = time.perf_counter()
    thresholds = calibrate(errors, 0.01)
    assert time.perf_counter() - started < 5
    assert 0.01 - 1e-9 <= thresholds.false_reject_upper < 0.013


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_threshold_that_everything_or_nothing_passes_is_refused(value: float) -> None:
    whole = calibrate(errors_of_good_parts(50, 0), 0.1).model_dump()
    with pytest.raises(ValidationError):
        Thresholds.model_validate(whole | {"values": (value, *whole["values"][1:])})


def test_pictures_of_the_same_parts_promise_no_better_a_rate_than_the_parts_do() -> None:
    errors = errors_of_good_parts(40, 0)
    once = calibrate(errors, 0.1, believe_all=True)
    thrice = calibrate(np.repeat(errors, 3, axis=0), 0.1, believe_all=True, bursts=np.repeat(np.arange(40), 3))
    assert thrice.false_reject_upper == pytest.approx(once.false_reject_upper, abs=0.03)
    assert thrice.false_reject_upper > calibrate(np.repeat(errors, 3, axis=0), 0.1, believe_all=True).false_reject_upper


def test_of_parts_filmed_often_no_lower_rate_is_expected_than_new_parts_show() -> None:
    new, rejected, expected = errors_of_good_parts(2000, 1000), [], []
    for seed in range(40):
        filmed, bursts = np.repeat(errors_of_good_parts(12, seed), 8, axis=0), np.repeat(np.arange(12), 8)
        thresholds = calibrate(filmed, 0.05, believe_all=True, bursts=bursts)
        rejected.append((scores(new, thresholds) > 1).mean())
        expected.append(thresholds.false_reject_expected)
    assert np.mean(rejected) <= np.mean(expected) <= np.mean(rejected) + 1 / 12


def test_a_rate_that_no_number_of_parts_could_promise_is_refused_in_words() -> None:
    with pytest.raises(DataError, match="cannot promise a false-reject rate of 1e-310"):
        calibrate(np.exp(np.random.default_rng(0).normal(size=(100, 10))), 1e-310)
