"""Parts that were filmed several times: training warns of them, and where told divides none."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from training.detector.checkpoint import load_checkpoint
from training.session import train
from training.settings import TrainingSettings


def test_parts_that_were_filmed_several_times_are_told_and_where_told_never_divided(
    tmp_path: Path, make_training_config: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    rng, folder = np.random.default_rng(0), tmp_path / "parts"
    folder.mkdir()
    for part in range(12):
        shown = cv2.resize(rng.normal(120, 30, (8, 8, 3)), (48, 48), interpolation=cv2.INTER_CUBIC)
        for taken in range(3):
            noisy = (shown + rng.normal(0, 3, shown.shape)).clip(0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / f"{part}-{taken}.png"), noisy)
    config = make_training_config(folder, tmp_path / "run", epochs=1)
    config["network"]["encoder"] |= {"frozen": True}
    config |= {"folds": 3, "false_reject_rate": 0.2}
    ready = load_checkpoint(train(TrainingSettings.model_validate(config))).calibration
    asked = capsys.readouterr().err
    assert "36 pictures look like 1" in asked
    assert "filmed several times? Then set `bursts: true`. Two parts? Then set `bursts: false`" in asked
    one, other = re.findall(rf"{folder}/(\d+)-\d\.png", asked)
    assert one == other, "two pictures of one part are named"
    assert len(np.unique(ready.bursts)) == 36
    told = TrainingSettings.model_validate(
        {**config, "output": str(tmp_path / "told"), "bursts": True, "false_reject_rate": 0.05}
    )
    checkpoint = load_checkpoint(train(told))
    said = capsys.readouterr().err
    assert "set `bursts" not in said
    answered = {**config, "output": str(tmp_path / "answered"), "bursts": False}
    kept = load_checkpoint(train(TrainingSettings.model_validate(answered))).calibration
    assert np.array_equal(kept.bursts, ready.bursts)
    assert "bursts" not in capsys.readouterr().err
    assert "parts, too few to promise 5.0%, which needs 19" in said
    burst_of = dict(zip(map(named, checkpoint.calibration.names), checkpoint.calibration.bursts.tolist(), strict=True))
    assert all(len({burst_of[f"{part}-{taken}"] for taken in range(3)}) == 1 for part in range(12))
    assert checkpoint.thresholds.false_reject_upper > ready.thresholds(0.05).false_reject_upper


def named(path: str) -> str:
    return Path(path).stem
