"""What the forms of the detector cost on a CPU: ms of a core a picture, in ONNX Runtime, in turn, in one process.

    python benchmarks/bench_forms.py > benchmarks/results/forms.json

The thread's own time is taken, since other work on the machine says nothing of ours. Random weights: the cost does not
depend on them. The first form is the one before the whole picture was seen: tiles of
144 x 144 pixels alone, one decoder. What the forms give stands in docs/results.md.
"""

import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
import yaml
from machine import describe

from core.calibration import NO_CALIBRATION
from core.config import parse_settings
from core.thresholds import Thresholds
from export.graph import export_onnx
from runtime.bundles.manifest import INPUT
from training.detector.checkpoint import Checkpoint
from training.detector.inspector import Inspector
from training.network.network import Network
from training.network.tiles import permutation_set
from training.settings import TrainingSettings

ROUNDS = 15
FORMS: dict[str, dict[str, Any]] = {
    "before: tiles alone, one decoder": {
        "network": {"height": 144, "width": 144, "tile_scale": 1, "encoder": {"whole": False}},
        "score": {"memory": 0},
        "folds": 1,
    },
    "recipe": {},
    "recipe, decoders alone": {"score": {"memory": 0}},
    "fast": yaml.safe_load(Path("configs/fast.yaml").read_text()),
    "tiles alone, four decoders": {
        "network": {"height": 144, "width": 144, "tile_scale": 1, "encoder": {"whole": False}},
        "score": {"memory": 0},
    },
}


def session(changes: dict[str, Any], folder: Path) -> tuple[onnxruntime.InferenceSession, np.ndarray]:
    settings = parse_settings({"name": "form", "data": "none", "output": "none", **changes}, TrainingSettings, "form")
    network = Network(settings.network, permutation_set(9, 2, 0), settings.folds)
    thresholds = Thresholds(
        values=(1.0,) * 10, false_reject_rate=0.1, false_reject_expected=0.1, false_reject_upper=0.2, parts=20
    )
    inspector = Inspector(network, settings.score)
    if settings.score.memory:
        sources, groups, _, channels = inspector.memory.shape
        inspector.memory = torch.randn(sources, groups, settings.score.memory // groups, channels)
    checkpoint = Checkpoint(inspector, settings, thresholds, NO_CALIBRATION, {})
    export_onnx(checkpoint, folder / "model.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    opened = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    size = (settings.network.height, settings.network.width)
    return opened, np.random.default_rng(0).integers(0, 255, (1, *size, 3), np.uint8)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        sides = {}
        for number, (name, changes) in enumerate(FORMS.items()):
            place = Path(folder) / str(number)
            place.mkdir()
            sides[name] = session(changes, place)
        taken: dict[str, list[float]] = {name: [] for name in sides}
        for number in range(ROUNDS + 1):
            for name, (opened, frames) in sides.items():
                started = time.thread_time()
                opened.run(None, {INPUT: frames})
                if number:
                    taken[name].append((time.thread_time() - started) * 1e3)
    before = taken[next(iter(FORMS))]
    found = {
        name: {
            "ms": round(statistics.median(times), 2),
            "times_before": round(statistics.median(t / b for t, b in zip(times, before, strict=True)), 2),
        }
        for name, times in taken.items()
    }
    print(json.dumps({"forms": found, **describe("onnxruntime", "torch")}, indent=2))


if __name__ == "__main__":
    main()
