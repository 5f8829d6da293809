import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assessment.confidence import auroc_interval, difference_interval
from core.confidence import wilson
from core.placements import placements


def draw(seed: int, good: int = 40, defective: int = 30, shift: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    ranking = np.concatenate([rng.normal(0, 1, good), rng.normal(shift, 1, defective)])
    return ranking, np.arange(good + defective) >= good


def test_wilson_gives_the_printed_figures_and_stays_in_bounds() -> None:
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)  # Newcombe 1998, table I
    assert wilson(0, 20) == pytest.approx((0, 0.1611), abs=1e-4)
    assert wilson(29, 29)[1] == pytest.approx(1)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2).filter(lambda p: len({d for _, d in p}) == 2))
def test_the_interval_holds_the_area(pairs: list[tuple[int, bool]]) -> None:
    placed = placements(np.array([r for r, _ in pairs], float), np.array([d for _, d in pairs]))
    area, (low, high) = placed.auroc, auroc_interval(placed)
    assert 0 <= low <= area + 1e-9
    assert area - 1e-9 <= high <= 1


def test_nineteen_of_twenty_intervals_hold_the_true_area() -> None:
    true = 0.7602  # of normal scores one deviation apart: Phi(1 / sqrt 2)
    inside = 0
    for seed in range(400):
        low, high = auroc_interval(placements(*draw(seed)))
        inside += low <= true <= high
    assert 0.92 < inside / 400 < 0.98


def test_kinds_that_do_not_overlap_leave_room_for_doubt() -> None:
    few = auroc_interval(placements(*draw(0, 5, 5, shift=50)))
    many = auroc_interval(placements(*draw(0, 200, 200, shift=50)))
    assert few[1] == many[1] == 1
    assert 0.5 < few[0] < 0.9 < many[0] < 1


def test_two_models_on_the_same_parts_differ_by_less_than_their_intervals_say() -> None:
    ranking, defective = draw(3)
    better = ranking + defective * 0.5
    one, other = placements(better, defective), placements(ranking, defective)
    low, high = difference_interval(one, other)
    assert low < one.auroc - other.auroc < high
    assert low > 0, "the same parts: the difference is certain where the areas are not"
    assert auroc_interval(one)[0] < auroc_interval(other)[1]
