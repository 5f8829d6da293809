"""What engines need, as TensorRT for RTX's builder gives it, by network, precision and largest batch; no GPU is needed.

python benchmarks/bench_engines.py > benchmarks/results/engines.json

Random weights: four decoders and a memory of places, as a training leaves them.
"""

import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from machine import describe

from core.calibration import NO_CALIBRATION
from core.config import load_settings
from core.thresholds import Thresholds
from export.engines import build_engine, parse_target
from export.graph import export_onnx
from training.detector.checkpoint import Checkpoint
from training.detector.inspector import Inspector
from training.network.network import Network
from training.network.tiles import permutation_set
from training.settings import TrainingSettings

TARGET = "sm89"
NAMED = {"name": "untrained", "data": "none", "output": "none"}
RESNET18 = {"name": "resnet18", "stages": [2, 3], "weights": None}
RESNET50 = {"name": "resnet50", "stages": [2, 3, 4], "weights": None}
FORMS = {
    "recipe": NAMED,
    "fast form": load_settings(Path("configs/fast.yaml"), TrainingSettings).model_dump(),
    "ResNet-18": {**NAMED, "network": {"height": 300, "width": 300, "encoder": RESNET18}},
    "ResNet-50": {**NAMED, "network": {"height": 1008, "width": 300, "encoder": RESNET50}},
}


def untrained(content: dict[str, Any]) -> Checkpoint:
    settings = TrainingSettings.model_validate(content)
    network = Network(settings.network, permutation_set(9, 100, 0), settings.folds)
    inspector = Inspector(network, settings.score)
    memories, groups, _, channels = inspector.memory.shape
    inspector.memory = torch.randn(memories, groups, settings.score.memory // groups, channels)
    thresholds = Thresholds(
        values=(1.0,) * 10, false_reject_rate=0.05, false_reject_expected=0.05, false_reject_upper=0.1, parts=20
    )
    return Checkpoint(inspector, settings, thresholds, NO_CALIBRATION, {})


def main() -> None:
    rows = []
    for name, content in FORMS.items():
        checkpoint = untrained(content)
        for precision in ("fp32", "fp16"):
            with tempfile.TemporaryDirectory() as folder:
                model = Path(folder) / "model.onnx"
                export_onnx(checkpoint, model, half=precision == "fp16")
                for batch in (8, 64):
                    engine = build_engine(model, parse_target(TARGET), batch, Path(folder))
                    file = Path(folder) / engine.file
                    found = re.search(r"Total Activation Memory: (\d+) bytes", file.with_suffix(".log").read_text())
                    shape = checkpoint.settings.network
                    rows.append(
                        {
                            "network": name,
                            "input": f"{shape.height} x {shape.width}",
                            "precision": precision,
                            "batch": batch,
                            "context_mb": round(int(found[1]) / 1e6) if found else None,
                            "engine_mb": round(file.stat().st_size / 1e6, 1),
                            "build_s": round(engine.build_s, 1),
                        }
                    )
                    sys.stderr.write(f"{rows[-1]}\n")
    print(json.dumps({"engines": rows, "target": TARGET, **describe("torch", "tensorrt_rtx_cu13_libs")}, indent=2))


if __name__ == "__main__":
    main()
