"""Sketch: how far beyond the quartiles a first look sees planted defective pictures, and odd good ones.

    python benchmarks/sketch_fence.py --mvtec DIR [--sets cookie ...] [--seeds 0 1 2]

Tukey's fence stands at 1.5 interquartile ranges above the upper quartile, his outer one at 3. Told of each set, in
such ranges: the good pictures beyond 1.5 where none is planted, and with one in twenty planted (seeded) those planted
and the good ones beyond. Nothing is trained. Figures are appended to benchmarks/results/fence.jsonl.
"""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe
from quality import RESULTS, append_run, parser_of_sets, read_runs
from sketch_doubted import prepared

from core.datasets.dataset import training_samples
from core.datasets.frames import distinct, read_frames
from core.thresholds import standing
from training.detector.inspector import Inspector
from training.first_look import rarities
from training.fitting.training_set import prepare
from training.network.network import new_network

RUNS = Path("runs/fence")


def main() -> None:
    arguments = parser_of_sets(__doc__).parse_args()
    log = RESULTS / "fence.jsonl"
    done = {(run["set"], run["seed"], run["is_planted"]) for run in read_runs(log)}
    for seed, name, is_planted in product(arguments.seeds, arguments.sets, (False, True)):
        if (name, seed, is_planted) not in done:
            run = measure(name, arguments.mvtec, seed, is_planted)
            append_run(log, run)
            print(run, flush=True)


def measure(name: str, mvtec: Path, seed: int, is_planted: bool) -> dict[str, Any]:
    """Look at the set once."""
    ready = prepared(RUNS, name, mvtec, seed, is_planted)
    settings = ready.settings
    frames = distinct(read_frames(training_samples(settings.data), settings.network.input))
    parts = len(frames.samples)
    network = new_network(settings.network, settings.folds, seed)
    dataset = prepare(network, frames.bgr_u8, settings.augment, seed)
    stands = standing(rarities(Inspector(network, settings.score).eval(), dataset, parts, seed))
    lower, upper = np.percentile(stands, [25, 75])
    ranges = (stands - upper) / (upper - lower)
    is_bad = np.array([sample.path.name in ready.planted for sample in frames.samples])
    return {
        "set": name,
        "seed": seed,
        "is_planted": is_planted,
        "parts": parts,
        "good_beyond": sorted((round(float(each), 2) for each in ranges[~is_bad] if each > 1.5), reverse=True),
        "planted": sorted((round(float(each), 2) for each in ranges[is_bad]), reverse=True),
        **describe("torch"),
    }


if __name__ == "__main__":
    main()
