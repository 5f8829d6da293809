"""Sketch: whether as many fresh good parts are rejected as a training tells where some of its pictures stand apart.

    pip install scikit-image                       # one photographed texture
    python benchmarks/sketch_told.py [--sets "hundreds of caps" ...] [--seeds 0]

Sets are generated ones of benchmarks/unseen_sets.py, all of whose training pictures are good. Trained once as
`sketch_memory.py --what train` does it, whose checkpoints are taken where they stand; then 150 fresh good parts of the
same kind are drawn from another seed and judged. Figures are appended to benchmarks/results/told.jsonl.
"""

import argparse
import os
import tempfile
from collections.abc import Iterator
from itertools import islice, product
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
import cv2
import numpy as np
from machine import describe
from quality import RESULTS, append_run, read_runs
from sketch_doubted import prepared
from sketch_memory import RUNS
from sketch_unseen import QUALITY
from unseen_defects import Picture
from unseen_sets import HUNDREDS, SETS

from core.confidence import wilson
from core.datasets.dataset import Sample
from core.datasets.frames import read_frames
from core.datasets.layout import GOOD
from core.thresholds import scores
from training.detector.checkpoint import Checkpoint, load_checkpoint
from training.detector.inspector import judge
from training.session import train

GENERATED = ("brackets", "caps", "cable", "strip", "weave")
FRESH = 150
OTHER_SEED = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [*(f"hundreds of {name}" for name in GENERATED), *GENERATED]
    parser.add_argument("--sets", nargs="+", default=names, choices=names)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    arguments = parser.parse_args()
    log = RESULTS / "told.jsonl"
    done = {(run["set"], run["seed"]) for run in read_runs(log)}
    for seed, name in product(arguments.seeds, arguments.sets):
        if (name, seed) not in done:
            run = {"set": name, "seed": seed, **told(trained(name, seed), name, seed), **describe("torch")}
            append_run(log, run)
            print(run, flush=True)


def trained(name: str, seed: int) -> Checkpoint:
    """Train, unless that was done."""
    path = RUNS / "recipe" / name / str(seed) / "checkpoint"
    return load_checkpoint(
        path if path.exists() else train(prepared(RUNS / "recipe", name, Path(), seed, False).settings)
    )


def told(checkpoint: Checkpoint, name: str, seed: int) -> dict[str, Any]:
    """What the training told, and what fresh parts say."""
    with tempfile.TemporaryDirectory() as folder:
        samples = []
        for number, picture in enumerate(islice(good_ones(name, seed + OTHER_SEED), FRESH)):
            path = Path(folder) / f"{number:03}.jpg"
            cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
            samples.append(Sample(path, GOOD))
        frames = read_frames(samples, checkpoint.settings.network.input)
    thresholds = checkpoint.thresholds
    errors, _ = judge(checkpoint.inspector, frames.bgr_u8)
    rejected = int((scores(errors, thresholds) > 1).sum())
    return {
        "parts": thresholds.parts,
        "odd": thresholds.odd,
        "asked": thresholds.false_reject_rate,
        "told": round(thresholds.false_reject_with_odd, 4),
        "fresh": len(frames.samples),
        "skipped": len(frames.skipped),
        "rejected": round(rejected / len(frames.samples), 4),
        "interval": [round(limit, 4) for limit in wilson(rejected, len(frames.samples))],
    }


def good_ones(name: str, seed: int) -> Iterator[Picture]:
    """Good parts without end, as the set's training has them."""
    rng = np.random.default_rng(seed)
    while True:
        for folder, picture in (SETS | HUNDREDS)[name](rng, Path()):
            if folder != "train/good":
                break
            yield picture


if __name__ == "__main__":
    main()
