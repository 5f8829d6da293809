"""Export time by network: the graph to checked ONNX at 300 x 300, random weights, and the size of the file.

python benchmarks/bench_export.py
"""

import json
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
from machine import describe

from core.calibration import NO_CALIBRATION
from core.thresholds import Thresholds
from export.graph import export_onnx
from training.detector.checkpoint import Checkpoint
from training.detector.inspector import Inspector
from training.network.network import Network
from training.network.tiles import permutation_set
from training.settings import TrainingSettings

ENCODERS = {
    "tiny": {"name": "tiny", "stages": [3], "stride": 16},
    "efficientnet-lite0": {"name": "efficientnet-lite0", "stages": [3, 5, 6, 7], "stride": 16},
    "resnet18": {"name": "resnet18", "stages": [3], "stride": 16},
    "resnet50": {"name": "resnet50", "stages": [4], "stride": 32},
}


def main() -> None:
    exports = {}
    for name, encoder in ENCODERS.items():
        network = {"encoder": encoder, "permutations": 100}
        content = {"name": name, "data": "none", "output": "none", "network": network}
        settings = TrainingSettings.model_validate(content)
        inspector = Inspector(Network(settings.network, permutation_set(9, 100, 0)), settings.score)
        thresholds = Thresholds(
            values=(1.0,) * 10, false_reject_rate=0.05, false_reject_expected=0.05, false_reject_upper=0.1, parts=20
        )
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            started = time.perf_counter()
            export_onnx(Checkpoint(inspector, settings, thresholds, NO_CALIBRATION, {}), path)
            exports[name] = {"seconds": round(time.perf_counter() - started, 1), "mb": round(path.stat().st_size / 1e6)}
    print(json.dumps({"exports": exports, **describe("torch", "onnx", "onnxscript")}, indent=2))


if __name__ == "__main__":
    main()
