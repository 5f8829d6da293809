"""Sketch: what engines of TensorRT for RTX compute here, by target and by how kernels are chosen, beside the CPU.

    python benchmarks/sketch_rtx.py --bundle B --pictures DIR

Through TensorRT's own calls and PyTorch's memory, with nothing of the runtime between: a difference is the engine's.
Each row is a line of JSON: `max`, `mean` and `bias` are shares of an error's threshold, or of it where it is larger;
`times` are the errors as multiples of the right ones, at the 0th, 5th, 50th, 95th and 100th percentile.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from core.datasets.dataset import labelled_samples
from core.datasets.frames import read_frames
from core.thresholds import Thresholds, ratios
from export.parity import backend_errors
from runtime.bundles.bundle import load_bundle
from runtime.bundles.manifest import ERROR_MAP, ERRORS, INPUT
from runtime.inference.cuda.engine_fit import import_api
from runtime.inference.onnx_backend import OnnxBackend

PICTURES = 64
BATCHES = (1, 8, 32)
WAYS = ((32, "LAZY"), (32, "NONE"), (8, "EAGER"))
"""Rows, and when kernels are specialised to that many: LAZY beside the first batches, EAGER before, NONE never."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--pictures", required=True, help="a folder of pictures, or a set in MVTec layout")
    parser.add_argument("--targets", nargs="+", default=["CURRENT", "SM80"])
    arguments = parser.parse_args()
    trt = import_api("tensorrt_rtx")
    bundle = load_bundle(arguments.bundle)
    frames = read_frames(labelled_samples(arguments.pictures)[:PICTURES], bundle.manifest.input).bgr_u8
    cpu = OnnxBackend(bundle, 8)
    expected = backend_errors(cpu, frames)
    cpu.close()
    tell(version=trt.__version__, gpu=torch.cuda.get_device_name(), pictures=len(frames))
    for target in arguments.targets:
        started_s = time.perf_counter()
        plan = build(trt, bundle.read_model(), target)
        tell(target=target, build_s=time.perf_counter() - started_s, bytes=len(plan))
        for rows, strategy in WAYS:
            errors, first_s = judge(trt, plan, frames, rows, strategy)
            told = difference(errors, expected, bundle.manifest.thresholds)
            tell(target=target, batch=rows, strategy=strategy, first_s=first_s, **told)


def build(trt: Any, model: bytes, target: str) -> bytes:
    """Build an engine as export/engines.py does, for any member of RTX's ComputeCapability."""
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    if not trt.OnnxParser(network, logger).parse(model):
        raise SystemExit("the parser refuses the graph")
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)
    profile = builder.create_optimization_profile()
    profile.set_shape(INPUT, *((rows, *tuple(network.get_input(0).shape)[1:]) for rows in BATCHES))
    config.add_optimization_profile(profile)
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.__members__[target], 0)
    return bytes(builder.build_serialized_network(network, config))


def judge(
    trt: Any, plan: bytes, frames: NDArray[np.uint8], rows: int, strategy: str
) -> tuple[NDArray[np.float32], float]:
    """Errors (N, K + 1) of frames (N, H, W, 3) in batches of `rows`, and the seconds of the first batch."""
    runtime = trt.Runtime(trt.Logger(trt.Logger.WARNING))
    engine = runtime.deserialize_cuda_engine(plan)
    config = engine.create_runtime_config()
    config.dynamic_shapes_kernel_specialization_strategy = getattr(
        trt.DynamicShapesKernelSpecializationStrategy, strategy
    )
    context, stream = engine.create_execution_context(config), torch.cuda.Stream()  # type: ignore[no-untyped-call]
    parts, first_s, started_s = [], 0.0, time.perf_counter()
    for start in range(0, len(frames), rows):
        batch = torch.from_numpy(frames[start : start + rows]).cuda()
        tensors = {INPUT: batch}
        for name in (ERRORS, ERROR_MAP):
            tensors[name] = torch.zeros(len(batch), *tuple(engine.get_tensor_shape(name))[1:], device="cuda")
        context.set_input_shape(INPUT, tuple(batch.shape))
        for name, tensor in tensors.items():
            context.set_tensor_address(name, tensor.data_ptr())
        torch.cuda.synchronize()
        if not context.execute_async_v3(stream.cuda_stream):
            raise SystemExit("it does not compute")
        torch.cuda.synchronize()
        parts.append(tensors[ERRORS].cpu().numpy())
        first_s = first_s or time.perf_counter() - started_s
    return np.concatenate(parts), first_s


def difference(found: NDArray[np.float32], expected: NDArray[np.float32], thresholds: Thresholds) -> dict[str, Any]:
    answers, given = ratios(expected, thresholds), ratios(found, thresholds)
    shares = (given - answers) / np.maximum(answers, 1)
    return {
        "max": float(np.abs(shares).max()),
        "mean": float(np.abs(shares).mean()),
        "bias": float(shares.mean()),
        "times": [round(float(each), 5) for each in np.percentile(found / expected, [0, 5, 50, 95, 100])],
        "flips": int(((given > 1).any(axis=1) != (answers > 1).any(axis=1)).sum()),
    }


def tell(**values: Any) -> None:
    print(json.dumps(values), flush=True)


if __name__ == "__main__":
    main()
