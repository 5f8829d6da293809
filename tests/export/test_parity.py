from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from core.datasets.dataset import Sample
from core.thresholds import Thresholds
from export.parity import ParitySet, compare, faults, parity_table
from runtime.bundles.known_pictures import TOLERANCE

THRESHOLDS = Thresholds(
    values=(1.0,) * 10, false_reject_rate=0.1, false_reject_expected=0.1, false_reject_upper=0.2, parts=20
)


def exam(errors: NDArray[np.float32]) -> ParitySet:
    """Every other part is defective."""
    samples = tuple(Sample(Path(f"{i}.png"), "scratch" if i % 2 else "good") for i in range(len(errors)))
    return ParitySet(np.zeros((len(errors), 3, 3, 3), np.uint8), samples, errors, THRESHOLDS)


def test_the_same_errors_pass_and_a_difference_above_tolerance_does_not() -> None:
    errors = np.full((4, 10), 0.5, np.float32)
    same, off = compare(exam(errors), errors, "fp32", "x"), compare(exam(errors), errors + 0.01, "fp32", "x")
    assert (same.largest_difference, same.verdict_flips, faults(same)) == (0, 0, None)
    assert "differs by 0.01 of its threshold" in str(faults(off))
    assert faults(off.model_copy(update={"precision": "fp16"})) is None


def test_a_flip_is_a_fault_unless_it_is_allowed() -> None:
    errors = np.full((4, 10), 0.5, np.float32)
    errors[2, 3] = 0.999
    flipped = errors.copy()
    flipped[2, 3] = 1.001
    parity = compare(exam(errors), flipped, "int8", "x")
    assert parity.verdict_flips == 1
    assert "1 of 4 pictures change their verdict in int8" in str(faults(parity))
    assert faults(parity, allow_flips=1) is None


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_never_passes(bad: float) -> None:
    errors = np.full((4, 10), 0.5, np.float32)
    broken = errors.copy()
    broken[0, 0] = bad
    parity = compare(exam(errors), broken, "int8", "x")
    assert faults(parity, allow_flips=100)
    assert parity.verdict_flips == 1
    assert type(parity).model_validate_json(parity.model_dump_json()) == parity


def test_differences_are_told_by_error_as_shares_of_its_threshold() -> None:
    errors = np.full((2, 10), 0.5, np.float32)
    other = errors.copy()
    other[1, 4] += 0.02
    outputs = {one.output: one for one in compare(exam(errors), other, "fp32", "x").outputs}
    assert list(outputs) == ["image", *(f"tile {row},{col}" for row in (1, 2, 3) for col in (1, 2, 3))]
    assert outputs["tile 2,1"].largest_difference == pytest.approx(0.02, rel=1e-4)
    assert outputs["tile 2,1"].mean_difference == pytest.approx(0.01, rel=1e-4)
    assert outputs["image"].largest_difference == 0


def test_it_says_how_well_both_models_tell_defective_parts_from_good_ones() -> None:
    errors = np.repeat(np.array([1, 4, 2, 3], np.float32)[:, None], 10, axis=1)
    worse = np.repeat(np.array([1, 4, 3, 2], np.float32)[:, None], 10, axis=1)
    parity = compare(exam(errors), worse, "fp32", "x")
    assert (parity.auroc_trained, parity.auroc) == (1, 0.75)


def test_auroc_is_left_out_where_only_one_kind_is_shown() -> None:
    one = exam(np.zeros((1, 10), np.float32))
    assert compare(one, one.errors, "fp32", "x").auroc is None


def test_the_table_has_a_row_a_precision() -> None:
    errors = np.full((4, 10), 0.5, np.float32)
    rows = [compare(exam(errors), errors, precision, "x") for precision in TOLERANCE]
    assert parity_table(rows).row_count == 3


def test_the_table_has_a_column_for_the_auroc_only_where_there_is_one() -> None:
    def heads(pictures: int) -> list[object]:
        one = exam(np.full((pictures, 10), 0.5, np.float32))
        return [column.header for column in parity_table([compare(one, one.errors, "fp32", "x")]).columns]

    assert heads(4) == [*heads(1), "AUROC"]
