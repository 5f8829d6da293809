"""Folds: what is told to do where there are too few pictures does help."""

import re

from hypothesis import assume, given
from hypothesis import strategies as st

from core.errors import DataError
from training.folds import assign
from training.settings import TrainingSettings

PLAIN = {"name": "a", "data": "a", "output": "a"}


@given(
    st.integers(1, 60),
    st.sampled_from([0.01, 0.02, 0.05, 0.1, 0.4]),
    st.sampled_from([1, 2, 4, 20]),
    st.sampled_from([0.1, 0.5, 0.95]),
)
def test_each_remedy_for_too_few_pictures_helps(pictures: int, rate: float, folds: int, share: float) -> None:
    asked = {**PLAIN, "false_reject_rate": rate, "folds": folds, "calibration_share": share}
    try:
        assign(pictures, TrainingSettings.model_validate(asked))
        told = ""
    except DataError as error:
        told = str(error)
    assume(told)
    assert "add pictures" in told
    for key, value in re.findall(r"set `(\w+): ([\d.]+)`", told):
        assign(pictures, TrainingSettings.model_validate({**asked, key: float(value)}))
