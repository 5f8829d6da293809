"""Folds: what is told to do where there are too few pictures does help."""

import re

import numpy as np
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
        assign(np.arange(pictures), TrainingSettings.model_validate(asked))
        told = ""
    except DataError as error:
        told = str(error)
    assume(told)
    assert "add pictures" in told
    for key, value in re.findall(r"set `(\w+): ([\d.]+)`", told):
        assign(np.arange(pictures), TrainingSettings.model_validate({**asked, key: float(value)}))


@given(
    st.lists(st.integers(1, 9), min_size=8, max_size=20),
    st.sampled_from([1, 2, 4]),
    st.integers(0, 9),
)
def test_no_burst_is_divided_and_every_picture_is_held_out_once(sizes: list[int], folds: int, seed: int) -> None:
    assume(max(sizes) <= sum(sizes) // 4)
    bursts = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    asked = {**PLAIN, "folds": folds, "seed": seed, "false_reject_rate": 0.4, "calibration_share": 0.5}
    held_out = assign(bursts, TrainingSettings.model_validate(asked))
    for fold in held_out:
        kept = np.setdiff1d(np.arange(len(bursts)), fold)
        assert not set(bursts[fold]) & set(bursts[kept])
    judged = np.concatenate(held_out)
    assert len(judged) == len(np.unique(judged))
    if folds > 1:
        assert len(judged) == len(bursts)
        assert max(map(len, held_out)) - min(map(len, held_out)) <= max(sizes)
    else:
        assert len(bursts) / 2 - 1 <= len(judged) < len(bursts) / 2 + max(sizes)


def test_pictures_that_were_each_filmed_once_are_dealt_evenly() -> None:
    held_out = assign(np.arange(41), TrainingSettings.model_validate(PLAIN))
    assert sorted(map(len, held_out)) == [10, 10, 10, 11]
