"""Memory and time of a training by how many good pictures there are: peak resident memory of the process, seconds.

    python benchmarks/bench_memory.py --pictures 1000 10000 > benchmarks/results/memory.json

Generated pictures of 216 x 216, the recipe with one epoch; a training of 30 epochs needs the same memory, and
`seconds_for_the_recipe` is what its steps would take at the speed that was measured.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from machine import describe

EPOCHS = 30
PROGRAM = """
import resource, sys, time
from training.session import train
from training.settings import TrainingSettings
import training.folds as folds
started = time.perf_counter()
fits = []
inner = folds.fit
def timed(*arguments):
    begun = time.perf_counter()
    result = inner(*arguments)
    fits.append(time.perf_counter() - begun)
    return result
folds.fit = timed
train(TrainingSettings(name="memory", data=sys.argv[1], output=sys.argv[2], epochs=1))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
print("measured", time.perf_counter() - started, sum(fits), peak)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", nargs="+", type=int, default=[1000])
    found = [measure(count) for count in parser.parse_args().pictures]
    print(json.dumps({"trainings": found, **describe("torch", "lightning")}, indent=2))


def measure(count: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        good = Path(folder) / "good"
        good.mkdir()
        rng = np.random.default_rng(0)
        base = cv2.GaussianBlur(rng.integers(0, 255, (216, 216, 3), np.uint8), (0, 0), 6)
        for number in range(count):
            noise = rng.integers(0, 20, base.shape, np.uint8)
            cv2.imwrite(str(good / f"{number:06}.jpg"), cv2.add(base, noise))
        command = [sys.executable, "-c", PROGRAM, str(good), str(Path(folder) / "run")]
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": "."}
        )
    whole_s, fit_s, peak_gb = map(float, re.findall(r"^measured (\S+) (\S+) (\S+)$", done.stdout, re.M)[0])
    return {
        "pictures": count,
        "peak_gb": round(peak_gb, 2),
        "one_epoch_s": round(whole_s),
        "seconds_for_the_recipe": round(whole_s + (EPOCHS - 1) * fit_s),
    }


if __name__ == "__main__":
    main()
