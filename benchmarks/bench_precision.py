"""What a precision costs and gains on the CPU: a checkpoint's graph in fp32, fp16 and int8, on its own test pictures.

python benchmarks/bench_precision.py CHECKPOINT...

int8 here means every convolution, without the gate that export-engine holds it to. Speeds are taken in turn, batch by
batch of 8, and are medians.
"""

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
from machine import describe

from core.datasets.dataset import labelled_samples, training_samples
from core.datasets.frames import read_frames
from core.files import sha256_of
from core.thresholds import scores
from export.graph import export_onnx
from export.parity import PICTURES, ParitySet, backend_errors, compare
from export.pictures import RANGE_PICTURES
from export.quantise import Quantiser
from runtime.bundles.bundle import Bundle
from runtime.bundles.manifest import MODEL, Manifest
from runtime.bundles.precision import Precision
from runtime.inference.onnx_backend import OnnxBackend
from training.detector.checkpoint import Checkpoint, load_checkpoint
from training.detector.inspector import judge

BATCH = 8
ROUNDS = 15


def main() -> None:
    rows = {path: measure(load_checkpoint(Path(path))) for path in sys.argv[1:]}
    print(json.dumps({"checkpoints": list(rows.values()), **describe("torch", "onnx", "onnxruntime")}, indent=2))


def measure(checkpoint: Checkpoint) -> dict[str, Any]:
    network, data = checkpoint.settings.network, checkpoint.settings.data
    samples = labelled_samples(data)
    frames = read_frames(samples[:: max(1, len(samples) // PICTURES)], network.input)
    good = read_frames(training_samples(data)[:RANGE_PICTURES], network.input).bgr_u8
    exam = ParitySet(
        frames.bgr_u8, frames.samples, judge(checkpoint.inspector, frames.bgr_u8)[0], checkpoint.thresholds
    )
    with tempfile.TemporaryDirectory() as folder:
        graphs = write_graphs(checkpoint, good, Path(folder))
        backends = {name: open_graph(path, checkpoint) for name, path in graphs.items()}
        seconds: dict[str, list[float]] = {name: [] for name in backends}
        for turn in range(ROUNDS):
            batch = exam.frames_bgr_u8[(turn * BATCH) % (len(frames.samples) - BATCH) :][:BATCH]
            for name, backend in backends.items():
                buffer = backend.new_batch()
                buffer[:] = batch
                started = time.perf_counter()
                backend.submit(buffer).errors()
                seconds[name].append((time.perf_counter() - started) / BATCH)
        table = {}
        for name, backend in backends.items():
            parity = compare(exam, backend_errors(backend, exam.frames_bgr_u8), "fp32", backend.name)
            table[name] = {
                "auroc": parity.auroc,
                "verdict_flips": parity.verdict_flips,
                "largest_difference": parity.largest_difference,
                "mean_difference": parity.mean_difference,
                "images_per_s": round(1 / statistics.median(seconds[name]), 1),
                "times_fp32": round(statistics.median(seconds["fp32"]) / statistics.median(seconds[name]), 2),
                "megabytes": round(graphs[name].stat().st_size / 1e6, 1),
            }
    rejected = int((scores(exam.errors, exam.thresholds) > 1).sum())
    encoder = network.encoder.name
    return {"name": checkpoint.settings.name, "encoder": encoder, "input": f"{network.height} x {network.width}"} | {
        "pictures": len(frames.samples),
        "rejected_by_pytorch": rejected,
        "auroc_pytorch": parity.auroc_trained,
        "precisions": table,
    }


def write_graphs(checkpoint: Checkpoint, good: Any, folder: Path) -> dict[str, Path]:
    names = {"fp32": "fp32", "fp16": "fp16", "int8, uint8 activations": "u8", "int8, symmetric": "s8"}
    paths = {name: folder / short / MODEL for name, short in names.items()}
    for path in paths.values():
        path.parent.mkdir()
    export_onnx(checkpoint, paths["fp32"])
    export_onnx(checkpoint, paths["fp16"], half=True)
    for name, symmetric in (("int8, uint8 activations", False), ("int8, symmetric", True)):
        with Quantiser(paths["fp32"], good, checkpoint.thresholds, symmetric) as quantiser:
            quantiser.write(list(quantiser.layers), paths[name])
    return paths


def open_graph(path: Path, checkpoint: Checkpoint) -> OnnxBackend:
    network = checkpoint.settings.network
    precision: Precision = "fp32"
    manifest = Manifest(
        name="benchmark",
        created="now",
        height=network.height,
        width=network.width,
        grid=network.grid,
        precision=precision,
        score_unit="none",
        thresholds=checkpoint.thresholds,
        provenance={},
        files={MODEL: sha256_of(path)},
    )
    return OnnxBackend(Bundle(path=path.parent, manifest=manifest), BATCH)


if __name__ == "__main__":
    main()
