"""How fast a bundle judges on this machine's GPU, by every way that runs here, and whether it judges as PyTorch does.

    python benchmarks/bench_gpu.py --checkpoint C --bundle B --pictures DIR > benchmarks/results/gpu.jsonl

Each row is a line of JSON, written as it comes: what fails is named with its reason, and the next is measured.

Frames a second with copies are of batches that follow one another as in the runtime; latency is of one batch alone,
from frames in host memory to errors in host memory; without copies, frames and errors stay on the GPU. The share of the
roofline is of the peak that a large matrix product reaches here (or `--peak-tflops`), not of memory. Without a GPU it
measures the CPU's ways, and says that no GPU was measured.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_runtime import bare, ready_batches, whole
from broker import running
from machine import describe
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from core.thresholds import ratios, scores
from runtime.bundles.bundle import Bundle, load_bundle
from runtime.bundles.manifest import ERROR_MAP, ERRORS, INPUT
from runtime.inference.backend import Backend, Pending
from runtime.inference.cuda.gpu import NoGpuError, find_gpu
from runtime.inference.cuda.tensorrt_backend import TensorRtBackend
from runtime.inference.onnx_backend import OnnxBackend, Provider
from runtime.inference.selection import open_backend
from runtime.inference.settings import BackendSettings, Kind
from training.detector.checkpoint import load_checkpoint
from training.detector.inspector import Inspector

Frames = NDArray[np.uint8]
Step = Callable[[], Any]
"""Judges one batch, or enqueues it."""


class Way:
    """One way of judging a batch of a fixed size; each step is called again and again."""

    def __init__(self, whole: Step, stream: Callable[[int], None], compute: Callable[[int], None] | None) -> None:
        """`whole` is one batch with copies, alone; `stream` and `compute` are so many, with copies and without."""
        self.whole, self.stream, self.compute = whole, stream, compute


def by_torch(inspector: Inspector, frames: Frames, compiled: bool) -> Iterator[Way]:
    device = inspector.stage_scale.device
    judge = torch.compile(inspector) if compiled else inspector
    host = torch.from_numpy(frames)
    there = host.to(device)
    if device.type == "cuda":
        host = host.pin_memory()

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    def one() -> NDArray[np.float32]:
        return judge(host.to(device, non_blocking=True))[0].cpu().numpy()

    def stream(count: int) -> None:
        for _ in range(count):
            errors = judge(host.to(device, non_blocking=True))[0].to("cpu", non_blocking=True)
        wait()
        assert errors is not None

    def compute(count: int) -> None:
        for _ in range(count):
            judge(there)
        wait()

    with torch.inference_mode():
        yield Way(one, stream, compute if device.type == "cuda" else None)


def by_backend(backend: Backend, frames: Frames) -> Iterator[Way]:
    buffers = [backend.new_batch()[: len(frames)] for _ in range(backend.depth + 1)]
    for buffer in buffers:
        buffer[:] = frames

    def stream(count: int) -> None:
        under_way: list[Pending] = []
        for number in range(count):
            if len(under_way) == backend.depth:
                under_way.pop(0).errors()
            under_way.append(backend.submit(buffers[number % len(buffers)]))
        for pending in under_way:
            pending.errors()

    try:
        yield Way(lambda: backend.submit(buffers[0]).errors(), stream, on_the_gpu(backend, buffers[0]))
    finally:
        backend.close()


def on_the_gpu(backend: Backend, buffer: Frames) -> Callable[[int], None] | None:
    """Computing alone, with frames and errors where they are: it takes what the backends keep to themselves."""
    if isinstance(backend, TensorRtBackend):
        lane, rows = backend._device.lanes[0], len(buffer)

        def enqueue(count: int) -> None:
            for _ in range(count):
                lane.compute(rows)
            lane.stream.synchronize()

        return lambda count: backend.on_gpu(enqueue, count).result()
    if backend.name.endswith("/cpu"):
        return None
    import onnxruntime as ort

    session = backend._sessions[len(buffer)]  # type: ignore[attr-defined]
    binding = session.io_binding()
    binding.bind_ortvalue_input(INPUT, ort.OrtValue.ortvalue_from_numpy(np.array(buffer), "cuda", 0))
    for name in (ERRORS, ERROR_MAP):
        binding.bind_output(name, "cuda")

    def compute(count: int) -> None:
        for _ in range(count):
            session.run_with_iobinding(binding)

    return compute


def measure(way: Way, rows: int, seconds: float) -> dict[str, Any]:
    """Frames a second and latency of a way with batches of `rows`."""
    started_s = time.perf_counter()
    way.whole()
    first_s = time.perf_counter() - started_s  # compilers included: told, not counted
    latencies: list[float] = []
    until_s = time.perf_counter() + seconds
    while time.perf_counter() < until_s or len(latencies) < 3:
        started_s = time.perf_counter()
        way.whole()
        latencies.append((time.perf_counter() - started_s) * 1000)
    count = max(3, round(seconds * 1000 / statistics.median(latencies)))
    row: dict[str, Any] = {"first_batch_s": round(first_s, 2)}
    row |= {f"latency_ms_p{q}": round(float(np.percentile(latencies, q)), 3) for q in (50, 99)}
    for name, run in (("with_copies", way.stream), ("without_copies", way.compute)):
        if run is not None:
            run(1)
            started_s = time.perf_counter()
            run(count)
            row[f"frames_per_s_{name}"] = round(rows * count / (time.perf_counter() - started_s), 1)
    return row


def ways(
    inspector: Inspector, bundle: Bundle, frames: Frames, device: str, has_gpu: bool
) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Every way by name, opened when it is its turn, PyTorch's on `device`; what cannot be had raises what it likes."""
    rows = len(frames)

    def onnx(provider: Provider) -> Iterator[Way]:
        return by_backend(OnnxBackend(bundle, rows, provider=provider), frames)

    yield f"torch eager, {device}", lambda: by_torch(inspector.to(device), frames, compiled=False)
    if device == "cuda":
        yield "torch.compile, cuda", lambda: by_torch(inspector.to(device), frames, compiled=True)
    yield "onnxruntime cpu", lambda: onnx("cpu")
    if has_gpu:
        yield "onnxruntime cuda", lambda: onnx("cuda")
        yield "tensorrt", lambda: by_backend(open_backend(BackendSettings(kind="tensorrt"), bundle, rows), frames)


def parity(inspector: Inspector, bundle: Bundle, batches: list[Frames], kind: Kind) -> dict[str, Any]:
    """How far the backend is from PyTorch on real pictures, as shares of the thresholds."""
    backend = open_backend(BackendSettings(kind=kind), bundle, len(batches[0]))
    buffer, found, expected = backend.new_batch(), [], []
    for batch in batches:
        buffer[: len(batch)] = batch
        found.append(backend.submit(buffer[: len(batch)]).errors())
        with torch.inference_mode():
            expected.append(inspector(torch.from_numpy(batch).to(inspector.stage_scale.device))[0].cpu().numpy())
    backend.close()
    ours, theirs, thresholds = np.concatenate(found), np.concatenate(expected), bundle.manifest.thresholds
    flips = (scores(ours, thresholds) > 1) != (scores(theirs, thresholds) > 1)
    return {
        "backend": backend.name,
        "pictures": len(ours),
        "largest_difference": float(np.abs(ratios(ours, thresholds) - ratios(theirs, thresholds)).max()),
        "verdict_flips": int(flips.sum()),
    }


def roofline(
    inspector: Inspector, frame: Frames, device: str, dtype: torch.dtype, peak: float | None
) -> dict[str, Any]:
    """What a frame takes, and what `device` can do: `peak`, in TFLOP/s, or what is measured."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        inspector.to(device)(torch.from_numpy(frame).to(device))
    return {
        "gflop_per_frame": round(counter.get_total_flops() / 1e9, 4),
        "peak_tflops": peak or round(peak_flops(device, dtype) / 1e12, 3),
    }


def peak_flops(device: str, dtype: torch.dtype) -> float:
    """What a large matrix product reaches on `device`, best of five, in FLOP/s."""
    side = 8192 if device == "cuda" else 2048
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    best_s = float("inf")
    for _ in range(6):
        started_s = time.perf_counter()
        torch.matmul(left, right)
        if device == "cuda":
            torch.cuda.synchronize()
        best_s = min(best_s, time.perf_counter() - started_s)
    return 2 * side**3 / best_s


def pipeline(bundle: Bundle, pictures: Path, max_batch: int, rounds: int, kind: Kind) -> dict[str, Any]:
    """The whole runtime over the bare engine, in turn, as bench_runtime.py has it."""
    batches = ready_batches(bundle, pictures, 4, max_batch)
    asked = argparse.Namespace(bundle=bundle.path, pictures=pictures, cameras=4, max_batch=max_batch, kind=kind)
    with tempfile.TemporaryDirectory() as scratch, running(Path(scratch)) as port:
        pairs = [
            (bare(bundle, batches, max_batch, kind), whole(asked, port, Path(scratch) / f"{number}.sqlite"))
            for number in range(rounds)
        ]
    return {
        "bare_images_per_s": round(statistics.median(side for side, _ in pairs), 1),
        "pipeline_images_per_s": round(statistics.median(summary.images_per_s for _, summary in pairs), 1),
        "ratio": round(statistics.median(summary.images_per_s / side for side, summary in pairs), 3),
        "target_ratio": 0.95,
        "pictures": sum(len(batch) for batch in batches),
        "cameras": 4,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, required=True, help="exported from it, with an engine for this GPU")
    parser.add_argument("--pictures", type=Path, required=True, help="a folder of pictures")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32, 64])
    parser.add_argument("--seconds", type=float, default=3.0, help="for each way and size, three times over")
    parser.add_argument("--rounds", type=int, default=3, help="of the pipeline; 0: it is left out")
    parser.add_argument("--without", nargs="*", default=[], help="ways to leave out: torch.compile takes minutes")
    parser.add_argument("--peak-tflops", type=float, help="the GPU's; left out: measured")
    arguments = parser.parse_args()

    try:
        gpu, has_gpu = str(find_gpu()), True
    except NoGpuError as error:
        gpu, has_gpu = str(error), False
    device = "cuda" if torch.cuda.is_available() else "cpu"
    kind: Kind = "auto" if has_gpu else "onnxruntime-cpu"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False  # as the engines are built
    bundle = load_bundle(arguments.bundle)
    inspector = load_checkpoint(arguments.checkpoint).inspector
    batches = ready_batches(bundle, arguments.pictures, 1, 8)
    tell(
        "machine",
        gpu=gpu,
        note="" if has_gpu else "NO GPU WAS MEASURED: these rows are the CPU's and only show that this script runs.",
        **describe("p-wae", "torch", "onnxruntime", "onnxruntime-gpu"),
        engines=[engine.model_dump(mode="json") for engine in bundle.manifest.engines],
        bundle={"name": bundle.manifest.name, "precision": bundle.manifest.precision},
        size=[bundle.manifest.height, bundle.manifest.width],
    )
    dtype = torch.float16 if device == "cuda" and bundle.manifest.precision == "fp16" else torch.float32
    roof = attempt("roofline", lambda: roofline(inspector, batches[0][:1], device, dtype, arguments.peak_tflops))
    s_per_frame = roof["gflop_per_frame"] / roof["peak_tflops"] / 1000 if roof else None
    attempt("parity", lambda: parity(inspector.to(device), bundle, batches, kind))
    for size in arguments.batches:
        frames = np.ascontiguousarray(np.resize(np.concatenate(batches), (size, *batches[0].shape[1:])))
        for name, open_way in ways(inspector, bundle, frames, device, has_gpu):
            if name.startswith(tuple(arguments.without)):
                continue
            attempt("way", lambda: rate(open_way, size, arguments.seconds, s_per_frame), way=name, batch=size)  # noqa: B023
    rounds, largest = arguments.rounds, max(arguments.batches)
    if rounds:
        attempt("pipeline", lambda: pipeline(bundle, arguments.pictures, largest, rounds, kind))


def rate(open_way: Callable[[], Any], size: int, seconds: float, s_per_frame: float | None) -> dict[str, Any]:
    """Measure a way, and as a share of what would take `s_per_frame`, where that is known."""
    row: dict[str, Any] = {}
    for way in open_way():
        row = measure(way, size, seconds)
    if s_per_frame is None:
        return row
    fastest = row.get("frames_per_s_without_copies", row["frames_per_s_with_copies"])
    return {**row, "share_of_roofline": round(fastest * s_per_frame, 3)}


def attempt(kind: str, work: Callable[[], dict[str, Any]], **named: Any) -> dict[str, Any]:
    """Tell what comes of `work`, and give it; or why nothing does."""
    try:
        done = work()
    except Exception as error:  # whatever it is, the rows that follow are worth having
        tell(kind, **named, fails=f"{type(error).__name__}: {' '.join(str(error).split())}"[:500])
        return {}
    tell(kind, **named, **done)
    return done


def tell(kind: str, **values: Any) -> None:
    """Write one row."""
    print(json.dumps({"row": kind, **values}), flush=True)


if __name__ == "__main__":
    main()
