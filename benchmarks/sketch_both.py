"""Sketch: whether a memory of good places beside the decoders would pay on sets that no choice was made on.

    python benchmarks/sketch_both.py --mvtec DIR [--sets caps ...] [--seeds 0]

Image AUROC of the recipe (without pixels), of PatchCore on the same encoder, and of the sum and the larger of both
logs, each less its median over the test pictures and divided by their interquartile range: no label is looked at.
Figures are appended to benchmarks/results/both.jsonl.
"""

import argparse
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe
from numpy.typing import NDArray
from patchcore import patchcore_scores
from quality import RESULTS, append_run, read_runs
from sketch_doubted import prepared
from sklearn.metrics import roc_auc_score
from unseen_sets import SETS as UNSEEN

from assessment.evaluation import evaluate
from core.dataset import read_frames, training_samples
from training.checkpoint import load_checkpoint
from training.session import train

RUNS = Path("runs/both")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mvtec", type=Path, required=True, help="folder that holds the sets in MVTec layout")
    parser.add_argument("--sets", nargs="+", default=[*UNSEEN, "cookie", "metal_plate", "circuitboard"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    arguments = parser.parse_args()
    log = RESULTS / "both.jsonl"
    done = {(run["set"], run["seed"]) for run in read_runs(log)}
    for seed, name in product(arguments.seeds, arguments.sets):
        if (name, seed) not in done:
            run = measure(name, arguments.mvtec, seed)
            append_run(log, run)
            print(run, flush=True)


def measure(name: str, mvtec: Path, seed: int) -> dict[str, Any]:
    """Train once, and rank by each."""
    ready = prepared(RUNS, name, mvtec, seed, False)
    checkpoint = load_checkpoint(train(ready.settings))
    evaluation = evaluate(checkpoint, ready.data)
    good = read_frames(training_samples(ready.settings.data), checkpoint.settings.network.input)
    memory = patchcore_scores(checkpoint.inspector.network, good, evaluation.frames, seed)
    decoders, remembered = standardised(evaluation.scores), standardised(memory)
    ways = {
        "decoders": decoders,
        "memory": remembered,
        "sum": decoders + remembered,
        "larger": np.maximum(decoders, remembered),
    }
    auroc = {way: round(float(roc_auc_score(evaluation.defective, scores)), 4) for way, scores in ways.items()}
    return {"set": name, "seed": seed, **auroc, **describe("torch")}


def standardised(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logs less their median, divided by their interquartile range."""
    logs = np.log(np.maximum(scores, 1e-9))
    lower, middle, upper = np.percentile(logs, [25, 50, 75])
    told: NDArray[np.float64] = (logs - middle) / (upper - lower)
    return told


if __name__ == "__main__":
    main()
