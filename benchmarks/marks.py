"""How small a mark the recipe finds on each set, as `evaluate-model` draws them, beside what it misses of real defects.

    python benchmarks/marks.py --mvtec DIR [--sets cookie ...] [--seeds 0]

Checkpoints are those of benchmarks/quality.py, trained where none stands; marks are drawn on good parts of the test.
Figures are appended to benchmarks/results/marks.jsonl.
"""

import argparse
import os
from itertools import product
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
import numpy as np
from machine import describe
from quality import RESULTS, SETS, append_run, read_runs, trained

from assessment.drawn_marks import draw_marks
from core.datasets.dataset import labelled_samples
from core.datasets.frames import read_frames
from core.datasets.layout import GOOD
from core.thresholds import scores
from training.detector.checkpoint import load_checkpoint
from training.detector.inspector import judge


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mvtec", type=Path, required=True, help="folder that holds the sets in MVTec layout")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    arguments = parser.parse_args()
    log = RESULTS / "marks.jsonl"
    done = {(run["set"], run["seed"]) for run in read_runs(log)}
    for seed, name in product(arguments.seeds, arguments.sets):
        if (name, seed) in done:
            continue
        data = name if name.startswith("elpv:") else str(arguments.mvtec / name)
        checkpoint = load_checkpoint(trained(data, name, "recipe", seed)[0])
        good = [sample for sample in labelled_samples(data) if sample.kind == GOOD]
        frames = read_frames(good, checkpoint.settings.network.input).bgr_u8
        ranking = scores(judge(checkpoint.inspector, frames)[0], checkpoint.thresholds)
        marks = draw_marks(checkpoint, frames, ranking <= 1, np.full(len(frames), -1))
        append_run(log, {"set": name, "seed": seed, "marks": [mark.row() for mark in marks], **describe("torch")})
        print(name, seed, *(f"{mark.kind} {mark.size:.0%}: {mark.found}" for mark in marks), sep="\n  ", flush=True)


if __name__ == "__main__":
    main()
