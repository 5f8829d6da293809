"""Images a second of `run-inspection`'s whole path against its bare backend on as many batches.

All run in this process, in turn, over the same pictures: the runtime reads, resizes, judges, stores every event on disk
(fsync) and has it acknowledged by a real mosquitto on this machine; the bare backend is given ready batches. Between
them stands the bound: the runtime's own threads read and resize for the backend, and nothing is judged or told.

    python benchmarks/bench_runtime.py --bundle B --pictures DIR > benchmarks/results/runtime.json
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from broker import running
from machine import describe
from numpy.typing import NDArray

from core.pictures.picture import fit, list_pictures, read_picture
from core.stop import Stop
from runtime.batching.batcher import Batcher
from runtime.batching.feed import Feed
from runtime.batching.task import Task
from runtime.bundles.bundle import Bundle, load_bundle
from runtime.cameras.files import FolderCamera
from runtime.cameras.settings import FolderSettings
from runtime.inference.backend import Pending
from runtime.inference.run import InferenceRun
from runtime.inference.selection import open_backend
from runtime.inference.settings import BackendSettings, Kind
from runtime.settings import InspectionSettings
from runtime.station.assembly import open_inspection
from runtime.station.inspection import Summary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--pictures", type=Path, required=True, help="a folder of pictures")
    parser.add_argument("--cameras", type=int, default=4, help="file cameras at once, each playing the folder")
    parser.add_argument("--max-batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kind", default="onnxruntime-cpu", help="backend.kind of both sides")
    arguments = parser.parse_args()

    cv2.setNumThreads(1)  # as the runtime does
    bundle = load_bundle(arguments.bundle)
    batches = ready_batches(bundle, arguments.pictures, arguments.cameras, arguments.max_batch)
    with tempfile.TemporaryDirectory() as scratch, running(Path(scratch)) as port:
        rounds = [
            (
                bare(bundle, batches, arguments.max_batch, arguments.kind),
                bound(bundle, arguments),
                whole(arguments, port, Path(scratch) / f"{number}.sqlite"),
            )
            for number in range(arguments.rounds)
        ]
    bare_per_s = statistics.median(most for most, _, _ in rounds)
    bound_per_s = statistics.median(most for _, most, _ in rounds)
    runtime_per_s = statistics.median(summary.images_per_s for _, _, summary in rounds)
    result: dict[str, Any] = {
        **describe("p-wae", "onnxruntime", "onnxruntime-gpu", "opencv-python-headless", "paho-mqtt"),
        "bare_images_per_s": round(bare_per_s, 2),
        "bound_images_per_s": round(bound_per_s, 2),
        "runtime_images_per_s": round(runtime_per_s, 2),
        "of_bare": round(statistics.median(summary.images_per_s / most for most, _, summary in rounds), 4),
        "of_bound": round(statistics.median(summary.images_per_s / most for _, most, summary in rounds), 4),
        "rounds": [[round(bare, 2), round(most, 2), round(run.images_per_s, 2)] for bare, most, run in rounds],
        "events_lost": sum(summary.judged - summary.acknowledged for *_, summary in rounds),
        "images": sum(len(batch) for batch in batches),
        "cameras": arguments.cameras,
        "max_batch": arguments.max_batch,
        "model": bundle.manifest.name,
    }
    print(json.dumps(result, indent=2))


def ready_batches(bundle: Bundle, folder: Path, cameras: int, max_batch: int) -> list[NDArray[np.uint8]]:
    """The frames as the runtime would batch them: the cameras take turns."""
    frames = []
    for picture in list_pictures(folder):
        frame = np.zeros((bundle.manifest.height, bundle.manifest.width, 3), np.uint8)
        fit(read_picture(picture, bundle.manifest.bits), frame, bundle.manifest.input.roi, bundle.manifest.input.pose)
        frames += [frame] * cameras
    stacked = np.stack(frames)
    return [stacked[start : start + max_batch] for start in range(0, len(stacked), max_batch)]


def bare(bundle: Bundle, batches: list[NDArray[np.uint8]], max_batch: int, kind: Kind = "onnxruntime-cpu") -> float:
    backend = open_backend(BackendSettings(kind=kind), bundle, max_batch)
    buffers = [backend.new_batch() for _ in range(backend.depth + 1)]
    for buffer in buffers:
        buffer[: len(batches[0])] = batches[0]
    under_way: list[Pending] = []
    started_s = time.monotonic()
    for number, batch in enumerate(batches):
        if len(under_way) == backend.depth:
            under_way.pop(0).errors()
        under_way.append(backend.submit(buffers[number % len(buffers)][: len(batch)]))
    for pending in under_way:
        pending.errors()
    per_s = sum(len(batch) for batch in batches) / (time.monotonic() - started_s)
    backend.close()
    return per_s


def bound(bundle: Bundle, arguments: argparse.Namespace) -> float:
    """Read and resize as the runtime does, and let the backend do the rest."""
    backend = open_backend(BackendSettings(kind=arguments.kind), bundle, arguments.max_batch)
    batcher = Batcher({None: [backend.new_batch() for _ in range(backend.depth + 2)]}, 0.2, arguments.cameras)
    settings = FolderSettings(kind="folder", path=arguments.pictures)

    def assign(stream: str, _trigger: object) -> Task:
        return Task(stream, bundle.manifest.input)

    feeds = [
        Feed(f"camera{number}", FolderCamera(arguments.pictures), settings, batcher, assign)
        for number in range(arguments.cameras)
    ]
    images, started_s = 0, time.monotonic()
    under_way: list[InferenceRun] = []
    for feed in feeds:
        feed.start()
    while under_way or not batcher.is_finished:
        if len(under_way) == backend.depth:
            run = under_way.pop(0).wait()
            images += len(run.batch.written)
            batcher.release(run.batch)
        batch = batcher.take(0.0 if under_way else 0.1)
        if batch is not None:
            under_way.append(InferenceRun(backend, batch))
    per_s = images / (time.monotonic() - started_s)
    backend.close()
    return per_s


def whole(arguments: argparse.Namespace, port: int, outbox: Path) -> Summary:
    folder = {"kind": "folder", "path": arguments.pictures}
    settings = InspectionSettings.model_validate(
        {
            "bundle": arguments.bundle,
            "station": "bench",
            "cameras": {f"camera{number}": folder for number in range(arguments.cameras)},
            "batching": {"max_batch": arguments.max_batch, "max_wait_ms": 200},
            "backend": {"kind": arguments.kind},
            "broker": {"host": "127.0.0.1", "port": port},
            "outbox": {"path": outbox},
        }
    )
    with open_inspection(settings) as inspection:
        return inspection.run(Stop())


if __name__ == "__main__":
    main()
