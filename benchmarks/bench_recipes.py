"""What several warm recipes cost: resident memory, seconds to open, and time to judge, by the number of bundles.

    python benchmarks/bench_recipes.py BUNDLE > benchmarks/results/recipes.json

Copies of one bundle stand for those of other recipes; `alternating_ms` judges each part by another one than the last.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from machine import describe

PROGRAM = """
import os, statistics, sys, time
from pathlib import Path
from runtime.bundles.site_thresholds import SiteThresholds
from runtime.inference.models import open_models
from runtime.inference.settings import BackendSettings
first, *others = map(Path, sys.argv[1:])
started_s = time.perf_counter()
asked = (None, BackendSettings(kind="onnxruntime-cpu", threads=1), 8)
models = open_models("bench", first, {path.name: path for path in others}, asked, SiteThresholds({}))
opened_s = time.perf_counter() - started_s
buffers = [model.backend.new_batch() for model in models.each]
took_ms = []
for number in range(60):
    place = number % len(models.each)
    begun_s = time.perf_counter()
    models.each[place].backend.submit(buffers[place][:1]).errors()
    took_ms.append((time.perf_counter() - begun_s) * 1000)
before_s = time.process_time()
time.sleep(3)
idle = (time.process_time() - before_s) / 3
memory = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
print("measured", memory / 1e6, opened_s, statistics.median(took_ms), idle)
models.close()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--bundles", nargs="+", type=int, default=[1, 2, 4, 8])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = [measure(arguments.bundle, count, Path(folder)) for count in arguments.bundles]
    graph_mb = round((arguments.bundle / "model.onnx").stat().st_size / 1e6, 1)
    print(json.dumps({"bundles": found, "graph_mb": graph_mb, **describe("onnxruntime")}, indent=2))


def measure(bundle: Path, count: int, folder: Path) -> dict[str, Any]:
    copies = [folder / f"copy-{number}" for number in range(count)]
    for copy in copies:
        if not copy.exists():
            shutil.copytree(bundle, copy)
    command = [sys.executable, "-c", PROGRAM, *map(str, copies)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": "."})
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("measured")]
    memory_mb, opened_s, took_ms, idle = map(float, line.split()[1:])
    return {
        "bundles": count,
        "memory_mb": round(memory_mb),
        "opened_s": round(opened_s, 2),
        "alternating_ms": round(took_ms, 2),
        "idle_cores": round(idle, 3),
    }


if __name__ == "__main__":
    main()
