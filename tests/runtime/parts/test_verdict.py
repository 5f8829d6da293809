"""Verdicts: when a part is OK, and that a part without evidence never is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from core.thresholds import Thresholds
from runtime.cameras.exposure import exposure_fault
from runtime.cameras.settings import ExposureSettings
from runtime.parts.verdict import Reason, Verdict, judge

THRESHOLDS = Thresholds(
    values=(1.0,) + (2.0,) * 9, false_reject_rate=0.01, false_reject_expected=0.01, false_reject_upper=0.02, parts=200
)


def errors(**changed: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    values = np.full(10, 0.5, np.float32)
    for name, value in changed.items():
        values[int(name[1:])] = value
    return values


def test_numbers_and_words_are_those_of_opc_40001_101() -> None:
    assert {verdict.word: int(verdict) for verdict in Verdict} == {
        "Undefined": 0,
        "OK": 1,
        "NotOK": 2,
        "NotDecidable": 3,
    }


def test_a_part_below_every_threshold_is_ok() -> None:
    judgement = judge(errors(), THRESHOLDS)
    assert (judgement.verdict, judgement.reasons) == (Verdict.OK, ())
    assert judgement.margin == pytest.approx(0.5)


def test_an_error_at_its_threshold_still_passes() -> None:
    assert judge(errors(e0=1.0), THRESHOLDS).verdict == Verdict.OK


@pytest.mark.parametrize(
    ("changed", "reasons"),
    [
        ({"e0": 1.1}, (Reason.IMAGE_ERROR,)),
        ({"e5": 2.1}, (Reason.TILE_ERROR,)),
        ({"e0": 1.1, "e9": 9.0}, (Reason.IMAGE_ERROR, Reason.TILE_ERROR)),
    ],
)
def test_one_error_above_its_threshold_rejects(changed: dict[str, float], reasons: tuple[Reason, ...]) -> None:
    judgement = judge(errors(**changed), THRESHOLDS)
    assert (judgement.verdict, judgement.reasons) == (Verdict.NOT_OK, reasons)
    assert judgement.margin is not None
    assert judgement.margin < 0
    failed = {index for index, verdict in enumerate(judgement.tile_verdicts, 1) if verdict == Verdict.NOT_OK}
    assert failed == {int(name[1:]) for name in changed if name != "e0"}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_error_that_is_no_number_is_not_decidable(value: float) -> None:
    judgement = judge(errors(e3=value), THRESHOLDS)
    assert (judgement.verdict, judgement.reasons) == (Verdict.NOT_DECIDABLE, (Reason.ERROR_NOT_FINITE,))
    assert judgement.errors is None


@given(
    st.lists(st.floats(width=32), min_size=10, max_size=10),
    st.lists(st.sampled_from([Reason.BLACK, Reason.OVEREXPOSED, Reason.UNREADABLE, Reason.ROI_OUTSIDE]), min_size=1),
)
def test_a_fault_is_never_ok_whatever_the_errors(values: list[float], faults: list[Reason]) -> None:
    judgement = judge(np.asarray(values, np.float32), THRESHOLDS, faults)
    assert judgement.verdict == Verdict.NOT_DECIDABLE
    assert set(faults) <= set(judgement.reasons)


@pytest.mark.parametrize(
    ("grey", "fault"), [(0, Reason.BLACK), (8, Reason.BLACK), (9, None), (249, None), (255, Reason.OVEREXPOSED)]
)
def test_black_and_flooded_frames_are_found(grey: int, fault: Reason | None) -> None:
    frame = np.full((20, 20, 3), grey, np.uint8)
    assert exposure_fault(frame, ExposureSettings()) == fault


def test_a_dark_frame_with_something_on_it_is_judged() -> None:
    frame = np.zeros((20, 20, 3), np.uint8)
    frame[:2] = 90
    assert exposure_fault(frame, ExposureSettings()) is None
    assert exposure_fault(frame, ExposureSettings(share=0.9)) == Reason.BLACK


def test_an_engine_that_failed_decides_nothing_whatever_its_numbers() -> None:
    for values in (errors(), errors(e0=9.0), np.full(1, np.nan, np.float32)):
        judgement = judge(values, THRESHOLDS, (Reason.STALE, Reason.ENGINE_FAULT))
        assert (judgement.verdict, judgement.errors, judgement.margin) == (Verdict.NOT_DECIDABLE, None, None)
        assert judgement.reasons == (Reason.STALE, Reason.ENGINE_FAULT)
        assert judgement.has_pixels


@given(
    st.lists(st.floats(width=32, allow_nan=True, allow_infinity=True), min_size=10, max_size=10),
    st.lists(st.floats(1e-12, 1e6), min_size=10, max_size=10),
)
def test_whatever_a_model_gives_ok_needs_errors_above_0_and_at_most_their_thresholds(
    given_errors: list[float], values: list[float]
) -> None:
    thresholds = THRESHOLDS.model_copy(update={"values": tuple(values)})
    judgement = judge(np.array(given_errors, np.float32), thresholds)
    within = all(0 < float(np.float32(e)) <= value for e, value in zip(given_errors, values, strict=True))
    assert (judgement.verdict == Verdict.OK) == within


@pytest.mark.parametrize("value", [0.0, -0.0, -1e-9, -5.0])
def test_an_error_of_0_or_below_is_not_decidable(value: float) -> None:
    judgement = judge(errors(e4=value), THRESHOLDS)
    assert (judgement.verdict, judgement.reasons) == (Verdict.NOT_DECIDABLE, (Reason.ERROR_NOT_POSITIVE,))
    assert judgement.errors is None
    assert judge(errors(e4=value), THRESHOLDS, [Reason.STALE]).verdict == Verdict.NOT_DECIDABLE


@pytest.mark.parametrize("values", [(-1.0, 1.0), (0.0, 1.0), (1e300, 1.0), (float("nan"), 1.0), (1.0,), ()])
def test_thresholds_that_reject_nothing_or_everything_are_none(values: tuple[float, ...]) -> None:
    content = THRESHOLDS.model_dump() | {"values": values}
    with pytest.raises(ValidationError):
        Thresholds.model_validate(content)


@pytest.mark.parametrize(
    "wrong", [{"false_reject_rate": 0.0}, {"false_reject_upper": -1.0}, {"parts": 0}, {"odd": -1}, {"spreads": (1.0,)}]
)
def test_promises_that_are_none_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Thresholds.model_validate(THRESHOLDS.model_dump() | wrong)
