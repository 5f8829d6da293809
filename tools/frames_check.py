"""Frames of 5 megapixels into rows of a batch: by the CPU and by the GPU, of one camera and of many."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.batching.fitting import Fit, fit_on_cpu
from runtime.inference.cuda.gpu_fit import GpuFit
from runtime.parts.layout import Layout


def compare_places(tell: Callable[..., None]) -> None:
    """Tell what each place does a second, and whether the rows are the same."""
    cv2.setNumThreads(1)
    tell(cores=len(os.sched_getaffinity(0)))
    on_gpu = GpuFit(0, (300, 300))
    noise = np.random.default_rng(0).integers(0, 256, (2048, 2448, 3), np.uint8)
    chosen: tuple[tuple[str, Layout], ...] = (("Mono8", "BGR"), ("BayerRG8", "RG"), ("BGR8", "BGR"))
    for name, layout in chosen:
        pixels = noise if name == "BGR8" else np.ascontiguousarray(noise[:, :, 0])
        rows: dict[str, NDArray[np.uint8]] = {}
        fits: tuple[tuple[str, Fit], ...] = (("cpu", fit_on_cpu), ("gpu", on_gpu))
        for place, fit in fits:
            rows[place] = np.zeros((300, 300, 3), np.uint8)
            fit(pixels, layout, rows[place])
            for cameras in (1, 4, 16):
                rate = fitted_per_s(fit, pixels, layout, cameras)
                tell(frames=name, place=place, cameras=cameras, frames_per_s=rate[0], core_ms=rate[1])
        difference = np.abs(rows["cpu"].astype(np.int16) - rows["gpu"]).max()
        tell(frames=name, largest_difference=int(difference))
    on_gpu.close()


def fitted_per_s(fit: Fit, pixels: NDArray[np.uint8], layout: Layout, cameras: int) -> tuple[float, float]:
    """Frames/s of so many threads, and the milliseconds of a core that a frame takes."""
    until_s = time.perf_counter() + 2
    used_s, started_s = time.process_time(), time.perf_counter()

    def run() -> int:
        row, done = np.zeros((300, 300, 3), np.uint8), 0
        while time.perf_counter() < until_s:
            fit(pixels, layout, row)
            done += 1
        return done

    with ThreadPoolExecutor(cameras) as threads:
        done = sum(future.result() for future in [threads.submit(run) for _ in range(cameras)])
    taken_s = time.perf_counter() - started_s
    return done / taken_s, (time.process_time() - used_s) / done * 1000
