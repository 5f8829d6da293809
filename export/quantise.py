"""int8: convolutions quantised by what good pictures show, as many as leave every verdict as it is.

Not every convolution bears eight bits: a depthwise one may move the errors by more than a threshold. Each is tried
alone on good pictures, and the least harmful are quantised, as many as pass the exam.
"""

import logging
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from core.progress import counted
from core.thresholds import Thresholds, ratios
from export.graph import network_layers
from runtime.bundles.manifest import ERRORS, INPUT

_BATCH = 8
_TRIAL_PICTURES = 16


class Quantiser:
    """The ranges of a graph's tensors on good pictures, and what each convolution costs in accuracy."""

    def __init__(self, model: Path, good_bgr_u8: NDArray[np.uint8], thresholds: Thresholds, symmetric: bool) -> None:
        """Take the ranges of `model`, a float32 graph, on good frames (N, H, W, 3).

        `symmetric` is what TensorRT parses: int8 around zero. Else activations are uint8 with a zero point and weights
        keep to 7 bits, since two products of 8 bits overflow the 16 bits of AVX2.
        """
        from onnxruntime.quantization import CalibrationMethod, create_calibrator
        from onnxruntime.quantization.shape_inference import quant_pre_process

        # ONNX Runtime's notes on the root logger: nothing that a user of this command can act on.
        logging.getLogger().addFilter(_is_fault)
        self._symmetric = symmetric
        self._thresholds = thresholds
        self._trial_bgr_u8 = good_bgr_u8[:_TRIAL_PICTURES]
        self._folder = tempfile.TemporaryDirectory(prefix="pwae-int8-")
        self._scratch = Path(self._folder.name)
        prepared = self._scratch / "prepared.onnx"
        quant_pre_process(str(model), str(prepared), skip_symbolic_shape=True)
        self._model = onnx.load(prepared)
        self.layers = {node.name: layer for node, layer in network_layers(self._model)}
        """Name of each convolution's node, and of the layer in the network."""
        calibrator = create_calibrator(
            str(prepared),
            ["Conv"],
            augmented_model_path=str(self._scratch / "augmented.onnx"),
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"symmetric": symmetric},
        )
        calibrator.collect_data(_Batches(good_bgr_u8))
        self._ranges = calibrator.compute_data()
        self._float_errors = self._errors(self._model)

    def write(self, nodes: Sequence[str], path: Path) -> None:
        """Write the graph with the convolutions `nodes` in int8, the rest in float32."""
        onnx.save(self._quantised(nodes), path)

    def by_harm(self) -> list[tuple[str, float]]:
        """Convolutions, the most harmless first, with the mean |difference| of good pictures' errors each makes alone.

        In shares of the thresholds.
        """
        harm = {
            node: float(np.abs(self._errors(self._quantised([node])) - self._float_errors).mean())
            for node in counted(list(self.layers), "trying each layer in int8")
        }
        return sorted(harm.items(), key=lambda item: item[1])

    def __enter__(self) -> "Quantiser":
        """Use it as a context."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Remove what was written to find the ranges."""
        logging.getLogger().removeFilter(_is_fault)
        self._folder.cleanup()

    def _quantised(self, nodes: Sequence[str]) -> onnx.ModelProto:
        from onnxruntime.quantization import QDQQuantizer, QuantType

        if not nodes:  # which means every node there
            return self._model
        quantiser = QDQQuantizer(
            onnx.ModelProto.FromString(self._model.SerializeToString()),
            per_channel=True,
            reduce_range=not self._symmetric,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QInt8 if self._symmetric else QuantType.QUInt8,
            tensors_range=self._ranges,
            nodes_to_quantize=list(nodes),
            nodes_to_exclude=[],
            op_types_to_quantize=["Conv"],
            extra_options={"ActivationSymmetric": self._symmetric, "QuantizeBias": False},
        )
        quantiser.quantize_model()
        model: onnx.ModelProto = quantiser.model.model
        return model

    def _errors(self, model: onnx.ModelProto) -> NDArray[np.float64]:
        session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        return ratios(session.run([ERRORS], {INPUT: self._trial_bgr_u8})[0], self._thresholds)


def most_that_pass(count: int, passes: Callable[[int], bool]) -> int:
    """Find by bisection how many of `count` layers can be quantised; none, where not even one can."""
    low, high = 0, count
    if passes(high):
        return high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if passes(middle) else (low, middle)
    return low


def quantise(quantiser: Quantiser, path: Path, passes: Callable[[], bool]) -> list[str]:
    """Write the graph to `path` with as many convolutions in int8 as pass there; name the others, the worst first.

    Beside each name stands what it alone costs, as a mean share of the thresholds.
    """
    ordered = quantiser.by_harm()

    def trial(count: int) -> bool:
        quantiser.write([node for node, _ in ordered[:count]], path)
        return passes()

    count = most_that_pass(len(ordered), trial)
    quantiser.write([node for node, _ in ordered[:count]], path)
    return [f"{quantiser.layers[node]} ({harm:.2g})" for node, harm in reversed(ordered[count:])]


def _is_fault(record: logging.LogRecord) -> bool:
    return record.levelno > logging.WARNING


class _Batches:
    """What ONNX Runtime's calibrator reads: one dictionary of inputs after another."""

    def __init__(self, frames_bgr_u8: NDArray[np.uint8]) -> None:
        self._frames = frames_bgr_u8
        self._next = 0

    def get_next(self) -> dict[str, Any] | None:
        if self._next >= len(self._frames):
            return None
        batch = self._frames[self._next : self._next + _BATCH]
        self._next += _BATCH
        return {INPUT: batch}
