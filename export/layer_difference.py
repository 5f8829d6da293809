"""Layer difference: which layer of a graph in lower precision is the first to go astray."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from export.graph import network_layers
from runtime.bundles.manifest import INPUT


def worst_layer(full: Path, lower: Path, frames_bgr_u8: NDArray[np.uint8]) -> str | None:
    """Say in words in which convolution two graphs of the same layers part, on frames (N, H, W, 3).

    That is the first whose output is no finite number, else the one that adds most to the relative difference. None
    where they have no layer in common.
    """
    layers = _layers(full)
    shared = [name for name in layers if name in _layers(lower)]
    if not shared:
        return None
    before = 0.0
    worst, growth = shared[0], -1.0
    for name, one, other in zip(
        shared, _outputs(full, shared, frames_bgr_u8), _outputs(lower, shared, frames_bgr_u8), strict=True
    ):
        if not np.isfinite(other).all():
            return f"{layers[name]} gives values that are not finite (in full precision up to {np.abs(one).max():.3g})"
        relative = float(np.sqrt(np.mean((other - one) ** 2) / (np.mean(one**2) + 1e-30)))
        if relative - before > growth:
            worst, growth = name, relative - before
        before = relative
    return f"{layers[worst]} adds most to the difference ({growth:.2g} of its output)"


def _layers(model: Path) -> dict[str, str]:
    """Output of each convolution, and the name of its layer in the network."""
    return {node.output[0]: layer for node, layer in network_layers(onnx.load(model))}


def _outputs(path: Path, names: list[str], frames_bgr_u8: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    model = onnx.load(path)
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return [output.astype(np.float32) for output in session.run(names, {INPUT: frames_bgr_u8})]
