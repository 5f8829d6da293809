"""The graph: what it is in each precision, and that TensorRT takes it for every GPU, network and input."""

from pathlib import Path
from typing import Any

import onnx
import pytest
import torch

from core.thresholds import Thresholds
from export.engines import build_engine, parse_target
from export.graph import export_onnx
from runtime.bundle import ERROR_MAP, ERRORS, INPUT
from training.checkpoint import Checkpoint
from training.inspector import Inspector
from training.network import Network
from training.settings import TrainingSettings
from training.tiles import permutation_set

TARGETS = ("sm75", "sm80", "sm86", "sm89", "sm120", "sm121")


def untrained(encoder: str, stages: tuple[int, ...], height: int, width: int) -> Checkpoint:
    """A detector with random weights."""
    config: dict[str, Any] = {
        "name": encoder,
        "data": "none",
        "output": "none",
        "network": {
            "height": height,
            "width": width,
            "encoder": {"name": encoder, "stages": stages, "stride": 16, "frozen": True},
            "equalise": True,
            "permutations": 2,
        },
        "loss": {"cosine": 1.0},
        "score": {"space": "features", "distance": "cosine", "worst_share": 0.05},
    }
    settings = TrainingSettings.model_validate(config)
    torch.manual_seed(0)
    network = Network(settings.network, permutation_set(9, 2, 0))
    thresholds = Thresholds(
        values=(1.0,) * 10, false_reject_rate=0.1, false_reject_expected=0.1, false_reject_upper=0.2, parts=20
    )
    return Checkpoint(Inspector(network, settings.score), settings, thresholds, {})


def types(path: Path) -> dict[str, int]:
    return {one.name: one.type.tensor_type.elem_type for one in onnx.load(path).graph.output}


def test_in_half_precision_the_convolutions_are_float16_and_the_errors_float32(tmp_path: Path) -> None:
    checkpoint = untrained("tiny", (2,), 48, 48)
    export_onnx(checkpoint, tmp_path / "half.onnx", half=True)
    graph = onnx.load(tmp_path / "half.onnx").graph
    weights = {one.name: one.data_type for one in graph.initializer}
    layers = [node for node in graph.node if node.op_type == "Conv" and node.input[1].startswith("network.")]
    assert {weights[node.input[1]] for node in layers} == {onnx.TensorProto.FLOAT16}
    assert types(tmp_path / "half.onnx") == dict.fromkeys((ERRORS, ERROR_MAP), onnx.TensorProto.FLOAT)
    assert graph.input[0].name == INPUT
    assert next(checkpoint.inspector.network.parameters()).dtype == torch.float32


@pytest.mark.parametrize("half", [False, True], ids=["fp32", "fp16"])
@pytest.mark.parametrize("size", [(300, 300), (1008, 300)], ids=["300x300", "1008x300"])
@pytest.mark.parametrize(
    ("encoder", "stages"),
    [("tiny", (2, 3)), ("efficientnet-lite0", (3, 5, 6, 7)), ("resnet18", (2, 3)), ("resnet50", (2, 3, 4))],
)
def test_tensorrt_builds_it_ahead_for_every_gpu(
    encoder: str, stages: tuple[int, ...], size: tuple[int, int], half: bool, tmp_path: Path
) -> None:
    export_onnx(untrained(encoder, stages, *size), tmp_path / "model.onnx", half)
    for target in TARGETS:
        engine = build_engine(tmp_path / "model.onnx", parse_target(target), 8, tmp_path)
        assert (tmp_path / engine.file).stat().st_size > 100_000
