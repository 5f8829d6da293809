from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper

from core.datasets.dataset import training_samples
from core.datasets.frames import read_frames
from core.pictures.geometry import ModelInput
from core.thresholds import ratios
from export.graph import export_onnx
from export.quantise import Quantiser, most_that_pass, quantise
from runtime.bundles.manifest import ERRORS, INPUT
from training.detector.checkpoint import Checkpoint, load_checkpoint


@given(st.integers(1, 60), st.data())
def test_bisection_finds_how_many_pass(count: int, data: st.DataObject) -> None:
    most = data.draw(st.integers(0, count))
    assert most_that_pass(count, lambda tried: tried <= most) == most


@pytest.fixture(scope="module")
def trained(checkpoint: Path) -> Checkpoint:
    return load_checkpoint(checkpoint)


@pytest.fixture(scope="module")
def model(trained: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("graph") / "model.onnx"
    export_onnx(trained, path)
    return path


@pytest.fixture(scope="module")
def good(parts: Path) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    return read_frames(training_samples(str(parts)), ModelInput(48, 48)).bgr_u8


def zero_points(path: Path) -> set[int]:
    model = onnx.load(path)
    values = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.op_type == "QuantizeLinear"]
    return {int(value) for node in nodes for value in values[node.input[2]].ravel()}


@pytest.mark.parametrize("symmetric", [False, True])
def test_int8_errors_are_near_and_symmetric_ones_have_no_zero_point(
    trained: Checkpoint, model: Path, good: "np.ndarray", tmp_path: Path, symmetric: bool
) -> None:
    import onnxruntime as ort

    with Quantiser(model, good, trained.thresholds, symmetric) as quantiser:
        quantiser.write(list(quantiser.layers), tmp_path / "int8.onnx")
    errors = [
        ratios(ort.InferenceSession(path).run([ERRORS], {INPUT: good})[0], trained.thresholds)
        for path in (model, tmp_path / "int8.onnx")
    ]
    difference = np.abs(errors[1] - errors[0])
    assert 0 < difference.max() < 0.2
    assert (zero_points(tmp_path / "int8.onnx") == {0}) is symmetric


def test_layers_are_those_of_the_network_the_most_harmless_first(
    trained: Checkpoint, model: Path, good: "np.ndarray"
) -> None:
    with Quantiser(model, good, trained.thresholds, symmetric=True) as quantiser:
        ordered = quantiser.by_harm()
    harms = [harm for _, harm in ordered]
    assert harms == sorted(harms)
    assert {quantiser.layers[node] for node, _ in ordered} >= {
        "network.encoder.network.conv1",
        "network.members.0.to_latent",
    }


def test_as_many_layers_as_pass_are_quantised_and_the_rest_are_named(
    trained: Checkpoint, model: Path, good: "np.ndarray", tmp_path: Path
) -> None:
    path = tmp_path / "int8.onnx"

    def quantised() -> int:
        nodes = onnx.load(path).graph.node
        weights = {node.output[0] for node in nodes if node.op_type == "DequantizeLinear"}
        return sum(node.op_type == "Conv" and node.input[1] in weights for node in nodes)

    with Quantiser(model, good, trained.thresholds, symmetric=True) as quantiser:
        count = len(quantiser.layers)
        left = quantise(quantiser, path, lambda: quantised() <= count - 2)
        assert (quantised(), len(left)) == (count - 2, 2)
        assert all(name.startswith("network.") for name in left)
        assert len(quantise(quantiser, path, lambda: quantised() <= 1)) == count - 1
        assert quantised() == 1
