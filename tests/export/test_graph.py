"""The graph: what it is in each precision, and that TensorRT takes it for every GPU, network and input."""

import copy
import multiprocessing
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnxruntime import InferenceSession

from core.calibration import NO_CALIBRATION
from core.thresholds import Thresholds
from export.engines import build_engine, parse_target
from export.graph import export_onnx, fold_batch_norms
from runtime.bundles.manifest import ERROR_MAP, ERRORS, INPUT
from training.detector.checkpoint import Checkpoint
from training.detector.inspector import Inspector
from training.network.encoder import Encoder
from training.network.network import Network
from training.network.tiles import permutation_set
from training.settings import TrainingSettings

TARGETS = ("sm75", "sm80", "sm86", "sm89", "sm120", "sm121")


def untrained(encoder: dict[str, Any], height: int, width: int) -> Checkpoint:
    """A detector with random weights."""
    config: dict[str, Any] = {
        "name": "untrained",
        "data": "none",
        "output": "none",
        "network": {
            "height": height,
            "width": width,
            "encoder": {"stride": 16, "weights": None, **encoder},
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
    inspector = Inspector(network, settings.score)
    sources, groups, _, channels = inspector.memory.shape
    inspector.memory = torch.randn(sources, groups, settings.score.memory, channels)
    return Checkpoint(inspector, settings, thresholds, NO_CALIBRATION, {})


def types(path: Path) -> dict[str, int]:
    return {one.name: one.type.tensor_type.elem_type for one in onnx.load(path).graph.output}


@pytest.mark.long
def test_in_half_precision_the_convolutions_are_float16_and_the_errors_float32(tmp_path: Path) -> None:
    checkpoint = untrained({"name": "tiny", "stages": (2,)}, 48, 48)
    export_onnx(checkpoint, tmp_path / "half.onnx", half=True)
    graph = onnx.load(tmp_path / "half.onnx").graph
    weights = {one.name: one.data_type for one in graph.initializer}
    layers = [node for node in graph.node if node.op_type == "Conv" and node.input[1].startswith("network.")]
    assert {weights[node.input[1]] for node in layers} == {onnx.TensorProto.FLOAT16}
    assert types(tmp_path / "half.onnx") == dict.fromkeys((ERRORS, ERROR_MAP), onnx.TensorProto.FLOAT)
    assert graph.input[0].name == INPUT
    assert next(checkpoint.inspector.network.parameters()).dtype == torch.float32


@pytest.mark.long
def test_the_exported_graph_judges_an_even_picture_as_the_trained_network(tmp_path: Path) -> None:
    """Its brightness is a sum of many like numbers, of which a careless float32 loses some."""
    inspector = untrained({"name": "tiny", "stages": (2,)}, 480, 720).inspector
    export_onnx(untrained({"name": "tiny", "stages": (2,)}, 480, 720), tmp_path / "model.onnx")
    frames = np.full((1, 480, 720, 3), 173, dtype=np.uint8)
    frames[:, 100:380, 200:300] = 40
    session = InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    exported = session.run([ERRORS], {INPUT: frames})[0]
    with torch.inference_mode():
        trained = inspector(torch.from_numpy(frames))[0].numpy()
    assert abs(exported / trained - 1).max() < 1e-5


NETWORKS: dict[str, dict[str, Any]] = {
    "tiny": {"name": "tiny", "stages": (2, 3)},
    "efficientnet-lite0": {"name": "efficientnet-lite0", "stages": (3, 5, 6, 7)},
    "the whole picture alone": {"name": "efficientnet-lite0", "stages": (3, 5, 6), "tile_stages": (3,)},
    "resnet18": {"name": "resnet18", "stages": (2, 3)},
    "resnet50": {"name": "resnet50", "stages": (2, 3, 4)},
}
CASES = [
    (encoder, size, half)
    for encoder in NETWORKS
    for size in ((300, 300), (1008, 300))
    for half in (False, True)
    if (encoder, size) != ("the whole picture alone", (1008, 300))
]


@pytest.fixture(scope="module")
def built() -> Iterator[dict[tuple[str, tuple[int, int], bool], Future[list[int]]]]:
    """All cases under way, two at a time: most of it is torch's exporter, which keeps one core busy."""
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        yield {case: pool.submit(build_for_all, *case) for case in CASES}


def build_for_all(encoder: str, size: tuple[int, int], half: bool) -> list[int]:
    """Export, and give the bytes of the engine for each target."""
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.onnx"
        export_onnx(untrained(NETWORKS[encoder], *size), model, half)
        engines = [build_engine(model, parse_target(target), 8, Path(folder)) for target in TARGETS]
        return [(Path(folder) / engine.file).stat().st_size for engine in engines]


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case[0]}-{case[1][0]}x{case[1][1]}-fp{16 if case[2] else 32}"
)
def test_tensorrt_builds_it_ahead_for_every_gpu(
    built: dict[tuple[str, tuple[int, int], bool], Future[list[int]]], case: tuple[str, tuple[int, int], bool]
) -> None:
    sizes = built[case].result()
    assert len(sizes) == 6
    assert min(sizes) > 100_000


def test_a_batch_norm_that_is_folded_away_keeps_its_shift_in_every_convolution() -> None:
    encoder = Encoder("efficientnet-lite0", 7).eval()
    for norm in (module for module in encoder.modules() if isinstance(module, torch.nn.BatchNorm2d)):
        assert norm.running_mean is not None
        torch.nn.init.uniform_(norm.running_mean, -1, 1)
    folded = copy.deepcopy(encoder)
    fold_batch_norms(folded)
    tiles = torch.rand(2, 3, 72, 49)
    with torch.inference_mode():
        for one, other in zip(encoder(tiles), folded(tiles), strict=True):
            assert torch.allclose(one, other, rtol=1e-3, atol=1e-3 * float(one.abs().max()))
