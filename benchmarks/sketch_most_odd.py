"""Sketch: whether a bound on the share of good pictures that set no threshold would pay. Left out: docs/tried.md.

    python benchmarks/sketch_most_odd.py --mvtec DIR [--sets cookie ...] [--seeds 0 1 2] [--planted 0.05]

Tukey's fence leaves out what stands apart, however much that is: of clean sets whose good parts differ much a quarter,
and parts like those are rejected then. Here not more than a share, rounded up, is left out, those that stand furthest
and what a first look doubted. On sets as they are, and with a share of defective pictures `--planted` among the good
ones, seeded. Trainings are those of sketch_memory.py, each with three choices of places, whose means are appended to
benchmarks/results/most_odd.jsonl.
"""

import math
from collections.abc import Callable
from itertools import product
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from machine import describe
from numpy.typing import NDArray
from quality import RESULTS, append_run, parser_of_sets, read_runs
from sketch_doubted import prepared
from sketch_memory import PLACES, explanations, keep, weigh

from core.thresholds import odd_parts, standing

RUNS = Path("runs/most_odd")
BOUNDS = (None, 0.15, 0.125, 0.1)
STARTS = 3
RECIPE = "twcS"
Mask = NDArray[np.bool_]


def main() -> None:
    parser = parser_of_sets(__doc__)
    parser.add_argument("--planted", type=float, default=0.0, help="share of defective pictures among the good ones")
    arguments = parser.parse_args()
    log, planted = RESULTS / "most_odd.jsonl", arguments.planted
    done = {(run["set"], run["seed"], run["planted"]) for run in read_runs(log)}
    for seed, name in product(arguments.seeds, arguments.sets):
        if (name, seed, planted) in done:
            continue
        kept = RUNS / "kept" / f"{name}-{seed}-{planted}.pt"
        if not kept.exists():
            with mock.patch("sketch_doubted.SHARE", planted), mock.patch("sketch_unseen.SHARE", planted):
                keep(prepared(RUNS, name, arguments.mvtec, seed, planted > 0), seed, kept)
        content = torch.load(kept, weights_only=True)
        found = [explanations(content, set(RECIPE), PLACES, start=start) for start in range(STARTS)]
        for bound in BOUNDS:
            with mock.patch("core.thresholds.odd_parts", bounded(bound)):
                runs = [weigh(content, each, [RECIPE])[0] for each in found]
            means = {key: round(float(np.mean([run[key] for run in runs])), 4) for key in runs[0] if key != "way"}
            row = {"set": name, "seed": seed, "planted": planted, "bound": bound, **means}
            append_run(log, {**row, **describe("torch")})
            print(row, flush=True)


def bounded(most: float | None) -> Callable[..., Mask]:
    """Give `odd_parts` with not more than the share `most` of the parts; None: as it is."""

    def odd(errors: NDArray[np.floating], doubted: Mask | None = None) -> Mask:
        beyond = odd_parts(errors, doubted)
        if most is None:
            return beyond
        first = np.zeros(len(errors), bool) if doubted is None else doubted
        stands = np.where(first, np.inf, np.where(beyond, standing(errors), -np.inf))
        kept = np.argsort(-stands, kind="stable")[: max(math.ceil(most * len(errors)), int(first.sum()))]
        within = np.zeros(len(errors), bool)
        within[kept] = True
        return beyond & within

    return odd


if __name__ == "__main__":
    main()
