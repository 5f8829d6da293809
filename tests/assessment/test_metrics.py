import tracemalloc

import numpy as np

from assessment.metrics import by_kind, image_metrics, intervals, what_if
from core.calibration import Calibration


def test_each_kind_of_defect_has_its_own_line_and_good_comes_first() -> None:
    ranking = np.array([0.2, 0.9, 1.1, 0.5, 1.5, 3.0])
    rows = by_kind(ranking, ["good", "good", "dent", "dent", "crack", "crack"])
    assert [row["kind"] for row in rows] == ["good", "crack", "dent"]
    assert [(row["pictures"], row["rejected"], row["auroc"]) for row in rows] == [
        (2, 0, None),
        (2, 2, 1.0),
        (2, 1, 0.75),
    ]
    low, high = rows[2]["rejected_interval"]
    assert 0 < low < 0.5 < high < 1


def test_many_scores_take_little_more_memory_than_few() -> None:
    rng = np.random.default_rng(0)
    defective = rng.random(20_000) < 0.5
    tracemalloc.start()
    figures = image_metrics(rng.normal(0, 1, 20_000) + defective, defective)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 10e6
    assert 0.65 < (figures["max_balanced_accuracy"] or 0) < 0.72  # of two bells that are one deviation apart: 0.69


def test_no_limits_are_told_of_what_is_not_there() -> None:
    assert set(intervals(np.array([0.5, 1.5]), np.array([False, False]))) == {"false_reject_rate"}
    assert set(intervals(np.array([0.5, 1.5]), np.array([False, True]))) == {"auroc", "false_reject_rate", "miss_rate"}


def test_more_good_parts_rejected_means_fewer_defects_missed_and_too_few_parts_are_told() -> None:
    rng = np.random.default_rng(0)
    calibration, good = (np.exp(rng.normal(0, 0.2, (count, 10))) for count in (60, 50))
    bad = np.exp(rng.normal(0.4, 0.3, (50, 10)))
    rows = what_if(
        Calibration(("good",) * 60, calibration, np.zeros(60, bool), np.arange(60)),
        np.concatenate([good, bad]),
        np.arange(100) >= 50,
    )
    assert [row["false_reject_asked"] for row in rows] == [0.01, 0.02, 0.05, 0.1, 0.2]
    assert "give at least 99" in rows[0]["why_not"]
    told = rows[1:]
    assert [row["misses"] for row in told] == sorted((row["misses"] for row in told), reverse=True)
    assert told[0]["misses"] > told[-1]["misses"]
    assert told[-1]["false_rejects"] < 15
