"""The device of training: this process's own GPU, and float32 that is float32 wherever errors are computed."""

from pathlib import Path

import numpy as np
import pytest
import torch

from training.detector.checkpoint import load_checkpoint
from training.detector.inspector import judge
from training.device import choose_device


def test_float32_keeps_all_its_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    choose_device()
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


def test_each_process_has_the_gpu_of_its_local_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device() == torch.device("cuda", 0)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert choose_device() == torch.device("cuda", 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device() == torch.device("cpu")


def test_judging_leaves_the_inspector_where_it_was_and_able_to_learn_in_whole_float32_on_a_named_device_too(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    inspector = load_checkpoint(checkpoint).inspector
    settings = inspector.network.settings
    frames = np.zeros((3, settings.height, settings.width, 3), np.uint8)
    errors, maps = judge(inspector, frames, "cpu")
    assert not torch.backends.cudnn.allow_tf32
    assert (len(errors), len(maps)) == (3, 3)
    assert inspector.stage_scale.device == torch.device("cpu")
    assert not any(parameter.is_inference() for parameter in inspector.parameters())
