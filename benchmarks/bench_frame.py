"""What a frame of a factory camera costs a core, from the camera's bytes to its row of the batch, step by step.

CPU time of one thread, the least of many runs: a busy machine changes it little. Each step is the runtime's own.

    python benchmarks/bench_frame.py > benchmarks/results/frame.json
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import viva_genicam as vg
from machine import describe

from runtime.batching.fitting import fit_on_cpu
from runtime.cameras.exposure import exposure_fault
from runtime.cameras.factory.genicam import raw_of
from runtime.cameras.factory.pixel_format import to_u8
from runtime.cameras.settings import ExposureSettings
from runtime.cameras.thinning import look_alike

FORMATS = {"Mono8": np.uint8, "Mono12": np.uint16, "BayerRG8": np.uint8, "RGB8": np.uint8}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=2448)
    parser.add_argument("--height", type=int, default=2048)
    parser.add_argument("--side", type=int, default=144, help="of the model's square input")
    parser.add_argument("--runs", type=int, default=30)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    steps = {name: measure(name, dtype, arguments) for name, dtype in FORMATS.items()}
    print(json.dumps({**describe("numpy", "opencv-python-headless"), **vars(arguments), "core_ms": steps}, indent=2))


def measure(name: str, dtype: Any, arguments: argparse.Namespace) -> dict[str, float]:
    shape = (arguments.height, arguments.width, *((3,) if name == "RGB8" else ()))
    values = np.random.default_rng(0).integers(0, 4096 if name == "Mono12" else 256, shape).astype(dtype)
    frame = vg.Frame.from_bytes(values.tobytes(), arguments.width, arguments.height, name)
    raw = raw_of(frame)
    (pixels, layout), (other, _) = to_u8(raw, name), to_u8(raw.copy(), name)
    row = np.empty((arguments.side, arguments.side, 3), np.uint8)
    steps: dict[str, Callable[[], object]] = {
        "to_array": lambda: raw_of(frame),
        "to_8_bits": lambda: to_u8(raw, name),
        "frozen": lambda: look_alike(pixels, other, 1),
        "colours_and_fit": lambda: fit_on_cpu(pixels, layout, row),
        "exposure": lambda: exposure_fault(row, ExposureSettings()),
    }
    taken = {step: least_ms(what, arguments.runs) for step, what in steps.items()}
    return {**{step: round(ms, 2) for step, ms in taken.items()}, "whole": round(sum(taken.values()), 2)}


def least_ms(what: Callable[[], object], runs: int) -> float:
    best_s = float("inf")
    for _ in range(runs):
        started_s = time.thread_time()
        what()
        best_s = min(best_s, time.thread_time() - started_s)
    return best_s * 1000


if __name__ == "__main__":
    main()
