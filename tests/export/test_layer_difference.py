from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from export.graph import export_onnx
from export.layer_difference import worst_layer
from training.detector.checkpoint import Checkpoint, load_checkpoint


@pytest.fixture
def trained(checkpoint: Path) -> Checkpoint:
    return load_checkpoint(checkpoint)


def frames() -> "np.ndarray":
    return np.random.default_rng(0).integers(0, 255, (2, 48, 48, 3)).astype(np.uint8)


def test_the_layer_that_overflows_in_half_precision_is_named(trained: Checkpoint, tmp_path: Path) -> None:
    overflow(trained)
    export_onnx(trained, tmp_path / "full.onnx")
    export_onnx(trained, tmp_path / "half.onnx", half=True)
    words = worst_layer(tmp_path / "full.onnx", tmp_path / "half.onnx", frames())
    assert words is not None
    assert words.startswith("network.members.0.to_latent gives values that are not finite")


def test_else_the_layer_that_adds_most_to_the_difference_is_named(trained: Checkpoint, tmp_path: Path) -> None:
    export_onnx(trained, tmp_path / "full.onnx")
    with torch.no_grad():
        member: Any = trained.inspector.network.members[0]
        member.decoder.trunk[1][0].weight.mul_(1.5)
    export_onnx(trained, tmp_path / "other.onnx")
    words = worst_layer(tmp_path / "full.onnx", tmp_path / "other.onnx", frames())
    assert words is not None
    assert words.startswith("network.members.0.decoder.trunk.1.0 adds most")


def overflow(trained: Checkpoint) -> None:
    """Scale the latents beyond what half precision holds, and back: in full precision nothing changes."""
    member: Any = trained.inspector.network.members[0]
    with torch.no_grad():
        member.to_latent.weight.mul_(1e6)
        member.to_latent.bias.mul_(1e6)
        member.decoder.trunk[0][0].weight.div_(1e6)
