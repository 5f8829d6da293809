"""Sketch: whether copies of the good pictures, moved a little, help where few are at hand.

    python benchmarks/sketch_moved.py --mvtec DIR [--sets cookie ...] [--seeds 0 1] [--copies 0 3]

Copies are turned by up to 1.5 degrees and shifted by up to 0.012 of the shorter side, and are both trained on and
remembered; good pictures are judged as they are. With copies half of the recipe's epochs, so twice its steps. Which
places are remembered is drawn three times, with thresholds set anew. Sets: those of sketch_doubted.py. Without pixels,
which only people look at. Figures are appended to benchmarks/results/moved.jsonl as runs end.
"""

import argparse
import os
from itertools import product
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
import cv2
import numpy as np
from machine import describe
from numpy.typing import NDArray
from quality import RESULTS, append_run, read_runs
from sketch_doubted import prepared
from sklearn.metrics import roc_auc_score

from assessment.decidable import decidable
from core.datasets.dataset import labelled_samples
from core.datasets.frames import read_frames
from core.datasets.layout import GOOD
from core.thresholds import scores
from training.detector.checkpoint import load_checkpoint
from training.detector.inspector import judge
from training.fitting.training_set import prepare
from training.folds import deal, judge_held_out
from training.session import train
from training.settings import AugmentSettings

RUNS = Path("runs/moved")
TURN_DEGREES = 1.5
SHIFT = 0.012
EPOCHS = 15
DRAWS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mvtec", type=Path, required=True, help="folder that holds the sets in MVTec layout")
    parser.add_argument("--sets", nargs="+", default=["cookie", "metal_plate", "circuitboard"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--copies", nargs="+", type=int, default=[0, 3])
    arguments = parser.parse_args()
    log = RESULTS / "moved.jsonl"
    done = {(run["set"], run["seed"], run["copies"]) for run in read_runs(log)}
    for seed, name, copies in product(arguments.seeds, arguments.sets, arguments.copies):
        if (name, seed, copies) not in done:
            with mock.patch("training.fitting.augment._moved", moved):
                rows = measure(name, arguments.mvtec, seed, copies)
            run = {"set": name, "seed": seed, "copies": copies, "draws": rows, **describe("torch")}
            append_run(log, run)
            print(run, flush=True)


def moved(frame: NDArray[np.uint8], settings: AugmentSettings, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Turn and shift a frame (H, W, 3); what comes in repeats its border."""
    height, width = frame.shape[:2]
    turn = rng.uniform(-settings.rotate_degrees, settings.rotate_degrees)
    where = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), turn, 1)
    where[:, 2] += rng.uniform(-SHIFT, SHIFT, 2) * min(height, width)
    return np.asarray(cv2.warpAffine(frame, where, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def measure(name: str, mvtec: Path, seed: int, copies: int) -> list[dict[str, float]]:
    """Train once; figures of each draw of places."""
    ready = prepared(RUNS, name, mvtec, seed, False)
    changes: dict[str, Any] = {}
    if copies:
        changes = {"augment": AugmentSettings(copies=copies, rotate_degrees=TURN_DEGREES), "epochs": EPOCHS}
    settings = ready.settings.model_copy(update=changes)
    checkpoint = load_checkpoint(train(settings))
    inspector, chosen = checkpoint.inspector, settings.network.input
    good = deal(settings)
    left_out = np.zeros(len(good.bursts), bool)
    left_out[np.concatenate(good.held_out)] = checkpoint.calibration.doubted
    dataset = prepare(inspector.network, good.frames.bgr_u8, settings.augment, settings.seed)
    tested = decidable(read_frames(labelled_samples(ready.data), chosen))
    defective = np.array([sample.kind != GOOD for sample in tested.samples])
    rows = []
    for draw in range(DRAWS):
        drawn = settings.model_copy(update={"seed": seed + 1000 * draw})
        calibration = judge_held_out(inspector, dataset, good, left_out, drawn)
        thresholds = calibration.thresholds(settings.false_reject_rate)
        told = scores(judge(inspector, tested.bgr_u8)[0].astype(np.float64), thresholds)
        of_good, of_bad = np.sort(told[~defective])[::-1], told[defective]
        figures = {
            "auroc": roc_auc_score(defective, told),
            "false_reject_rate": (of_good > 1).mean(),
            "miss_rate": (of_bad <= 1).mean(),
            "miss_rate_at_the_tests_own_share": (
                of_bad <= of_good[round(settings.false_reject_rate * len(of_good))]
            ).mean(),
        }
        rows.append({key: round(float(value), 4) for key, value in figures.items()})
    return rows


if __name__ == "__main__":
    main()
