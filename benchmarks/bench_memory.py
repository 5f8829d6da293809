"""Memory and time of a training by how many good pictures there are: peak resident memory of the process, seconds.

    python benchmarks/bench_memory.py --pictures 1000 10000 > benchmarks/results/memory.json

Generated pictures of 216 x 216, the recipe with one epoch; a training of 30 epochs needs the same memory, and
`seconds_for_the_recipe` is what its steps would take at the speed that was measured.
"""

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from machine import describe
from torch import Tensor
from torch.utils.data import Subset

from core.progress import Steps
from training.fitting import fitting
from training.fitting.learner import Learner
from training.session import train
from training.settings import TrainingSettings

EPOCHS = 30


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
        # A process of its own, whose peak is the training's alone.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            whole_s, steps_s, peak_gb = pool.submit(train_an_epoch, str(good), str(Path(folder) / "run")).result()
    return {
        "pictures": count,
        "peak_gb": round(peak_gb, 2),
        "one_epoch_s": round(whole_s),
        "seconds_for_the_recipe": round(whole_s + (EPOCHS - 1) * steps_s),
    }


def train_an_epoch(data: str, output: str) -> tuple[float, float, float]:
    """Give the seconds of a training of one epoch, those of its steps alone, and this process's peak memory in GB."""
    taken_s = []
    fit = fitting.fit

    def timed(learner: Learner, dataset: Subset[list[Tensor]], countdown: Steps) -> bool:
        begun = time.perf_counter()
        is_first = fit(learner, dataset, countdown)
        taken_s.append(time.perf_counter() - begun)
        return is_first

    fitting.fit = timed
    started = time.perf_counter()
    train(TrainingSettings(name="memory", data=data, output=output, epochs=1))
    whole_s = time.perf_counter() - started
    if not taken_s:
        raise SystemExit("no step was measured: the training calls its steps by another name now.")
    return whole_s, sum(taken_s), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    main()
