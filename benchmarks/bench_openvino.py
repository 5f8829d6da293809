"""OpenVINO against ONNX Runtime on the CPU: plain fp32, the same model.onnx, the same frames, in turn.

Beside the wall clock it tells the processor time of an image, which others on the machine disturb less.

OpenVINO would become a backend only where it is at least 20 % faster at equal errors. It is no dependency of ours:

    python -m venv /tmp/ov && /tmp/ov/bin/pip install openvino==2026.4.1 onnxruntime==1.32.0
    /tmp/ov/bin/python benchmarks/bench_openvino.py BUNDLE... > benchmarks/results/openvino.json
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import openvino as ov
from machine import describe
from numpy.typing import NDArray

THREADS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", type=Path, nargs="+")
    parser.add_argument("--rounds", type=int, default=31)
    arguments = parser.parse_args()
    rows = [row for bundle in arguments.bundles for row in measure(bundle, arguments.rounds)]
    print(json.dumps({**describe("onnxruntime", "openvino"), "threads": THREADS, "rows": rows}, indent=2))


def by_onnxruntime(session: ort.InferenceSession, frames: NDArray[np.uint8]) -> Any:
    return session.run(["errors"], {"frames_bgr_u8": frames})[0]


def by_openvino(compiled: Any, frames: NDArray[np.uint8]) -> Any:
    return compiled({"frames_bgr_u8": frames})["errors"]


def measure(bundle: Path, rounds: int) -> list[dict[str, Any]]:
    manifest = json.loads((bundle / "bundle.json").read_text())
    options = ort.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.add_session_config_entry("session.dynamic_block_base", "4")  # as runtime/inference/onnx_backend.py has it
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(str(bundle / "model.onnx"), options, providers=["CPUExecutionProvider"])
    precise = {"INFERENCE_NUM_THREADS": THREADS, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    compiled = ov.Core().compile_model(str(bundle / "model.onnx"), "CPU", precise)
    rows = []
    for batch in (1, 8):
        frames = np.random.default_rng(0).integers(0, 256, (batch, manifest["height"], manifest["width"], 3), np.uint8)
        sides: dict[str, Callable[[], Any]] = {
            "onnxruntime": partial(by_onnxruntime, session, frames),
            "openvino": partial(by_openvino, compiled, frames),
        }
        expected, found = (side() for side in sides.values())
        per_s: dict[str, list[float]] = {name: [] for name in sides}
        cpu_ms: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(rounds):
            for name, side in sides.items():
                started_s, started_cpu_s = time.perf_counter(), time.process_time()
                side()
                per_s[name].append(batch / (time.perf_counter() - started_s))
                cpu_ms[name].append((time.process_time() - started_cpu_s) * 1000 / batch)
        in_turn = zip(per_s["openvino"], per_s["onnxruntime"], strict=True)
        rows.append(
            {
                "bundle": manifest["name"],
                "encoder": manifest["provenance"]["settings"]["network"]["encoder"]["name"],
                "size": [manifest["height"], manifest["width"]],
                "batch": batch,
                "images_per_s": {name: round(statistics.median(values), 1) for name, values in per_s.items()},
                "cpu_ms_an_image": {name: round(statistics.median(values), 2) for name, values in cpu_ms.items()},
                "openvino_over_onnxruntime": round(statistics.median(left / right for left, right in in_turn), 3),
                "largest_relative_difference": float(np.max(np.abs(found - expected) / np.abs(expected))),
            }
        )
    return rows


if __name__ == "__main__":
    main()
