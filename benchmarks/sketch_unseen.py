"""The default recipe on sets that no choice was made on, beside PatchCore: AUROC, thresholds, suspects, time.

    pip install scikit-image                       # two photographed textures
    python benchmarks/sketch_unseen.py --mvtec DIR [--believe-all] [--planted] [--resnet18 WEIGHTS] [--instead YAML]

The sets are laid out by benchmarks/unseen_sets.py from the seed, in runs/unseen; `--planted` replaces one in twenty of
the good training pictures by a defective one. Configuration: what `train-model init` writes. Pixels are not rebuilt:
only people look at them. A run's figures are appended to benchmarks/results/unseen.jsonl as it ends, and one that
stands there is not done again. `--instead '{part_size: null, upright: null, height: 216, width: 288}'` lays keys of
`network` over the advice, to see what the advice is worth.
"""

import argparse
import csv
import os
import shutil
import time
from itertools import product
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
import cv2
import numpy as np
import yaml
from machine import describe
from patchcore import patchcore_scores
from quality import (
    METHODS,
    RESNET18,
    RESULTS,
    append_run,
    configured,
    control_run,
    misses_at_own_share,
    overlay,
    read_runs,
)
from sklearn.metrics import roc_auc_score
from unseen_sets import BITS, HUNDREDS, KINDS, SETS

from assessment.evaluation import Evaluation, evaluate
from core.config import parse_settings
from core.datasets.dataset import training_samples
from core.datasets.frames import read_frames
from core.datasets.layout import GOOD
from training.detector.checkpoint import load_checkpoint
from training.session import train
from training.settings import TrainingSettings

ALL = SETS | HUNDREDS | KINDS
RUNS = Path("runs/unseen")
SHARE = 0.05
QUALITY = 92


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mvtec", type=Path, required=True, help="folder that holds the sets in MVTec layout")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=ALL)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--planted", action="store_true", help="one in twenty of the good pictures is defective")
    parser.add_argument("--method", default="recipe", choices=METHODS, help="of benchmarks/quality.py")
    parser.add_argument("--resnet18", type=Path, help="torchvision's weights: PatchCore with ResNet-18 at 256 px alone")
    parser.add_argument("--believe-all", action="store_true", help="as if somebody had looked at the suspects")
    parser.add_argument("--instead", type=yaml.safe_load, default={}, help="keys of `network`, in place of the advice")
    arguments = parser.parse_args()
    log = RESULTS / "unseen.jsonl"
    method = f"{arguments.method}, believe_all" if arguments.believe_all else arguments.method
    if arguments.instead:
        method += ", instead"
        method += "".join(f" {key} {value}" for key, value in arguments.instead.items())
    if arguments.resnet18:
        method = RESNET18
    done = {(run["set"], run["method"], run["seed"], run.get("planted", 0) > 0) for run in read_runs(log)}
    for seed, name in product(arguments.seeds, arguments.sets):
        if (name, method, seed, arguments.planted) in done:
            continue
        folder = RUNS / method / name / f"{seed}{'-planted' if arguments.planted else ''}"
        planted = lay_out(name, arguments.mvtec, seed, folder / "pictures", arguments.planted)
        if arguments.resnet18:
            run = control_run(str(folder / "pictures"), name, seed, arguments.resnet18)
        else:
            run = {
                "set": name,
                "method": method,
                "seed": seed,
                **measure(folder, name, arguments.method, seed, planted, arguments.believe_all, arguments.instead),
            }
        append_run(log, run)
        print(run, flush=True)


def lay_out(name: str, mvtec: Path, seed: int, folder: Path, is_planted: bool) -> set[str]:
    """Write a set in MVTec layout; names of the planted pictures, which are tested no more."""
    shutil.rmtree(folder, ignore_errors=True)
    counts: dict[str, int] = {}
    for kind, picture in ALL[name](np.random.default_rng(seed), mvtec):
        counts[kind] = counts.get(kind, 0) + 1
        path = folder / kind / f"{counts[kind]:03}.{'png' if picture.dtype == np.uint16 else 'jpg'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not is_planted:
        return set()
    rng = np.random.default_rng(seed)
    good = sorted((folder / "train/good").iterdir())
    bad = sorted(path for path in (folder / "test").rglob("*.jpg") if path.parent.name != GOOD)
    count = max(1, round(SHARE * len(good)))
    replaced = rng.permutation(len(good))[:count]
    for index, chosen in zip(replaced, rng.permutation(len(bad))[:count], strict=True):
        bad[chosen].replace(good[index])
    return {good[index].name for index in replaced}


def measure(
    folder: Path, name: str, method: str, seed: int, planted: set[str], believe_all: bool, instead: dict[str, Any]
) -> dict[str, Any]:
    """Train and evaluate once."""
    data = str(folder / "pictures")
    advised = overlay(configured(data, name, method, BITS.get(name)), {"network": instead} if instead else {})
    changes = {"seed": seed, "output": str(folder), "loss": {"pixels": 0}, "believe_all": believe_all}
    settings = parse_settings(overlay(advised, changes), TrainingSettings, name)
    core_s = time.process_time()
    checkpoint = load_checkpoint(train(settings))
    core_s = time.process_time() - core_s
    evaluation = evaluate(checkpoint, data)
    kept = ("auroc", "false_reject_rate", "miss_rate")
    figures: dict[str, Any] = {key: round(float(evaluation.metrics[key]), 4) for key in kept}
    own_share = misses_at_own_share(evaluation, settings.false_reject_rate)
    good = read_frames(training_samples(data), checkpoint.settings.network.input)
    patchcore = patchcore_scores(checkpoint.inspector.network, good, evaluation.frames, seed)
    figures |= {
        "miss_rate_at_the_tests_own_share": round(own_share, 4),
        "patchcore_auroc": round(float(roc_auc_score(evaluation.defective, patchcore)), 4),
        "promised_below": round(checkpoint.thresholds.false_reject_upper, 4),
        "calibrated_with": checkpoint.thresholds.parts,
        "odd": checkpoint.thresholds.odd,
        "missed_by_kind": missed_by_kind(evaluation),
        "advised": advised.get("network", {}),
        "core_s": round(core_s),
    }
    if planted:
        with (folder / "suspects.csv").open(encoding="utf-8") as file:
            first = [Path(row["file"]).name for row in csv.DictReader(file)][: 2 * len(planted)]
        figures |= {"planted": len(planted), "found_among_first_2k": len(planted & set(first)) / len(planted)}
    return {**figures, **describe("torch")}


def missed_by_kind(evaluation: Evaluation) -> dict[str, str]:
    """Of each kind of defect: how many passed, of how many."""
    passed: dict[str, list[bool]] = {}
    for sample, score in zip(evaluation.frames.samples, evaluation.scores, strict=True):
        if sample.kind != GOOD:
            passed.setdefault(sample.kind, []).append(bool(score <= 1))
    return {kind: f"{sum(found)} of {len(found)}" for kind, found in passed.items()}


if __name__ == "__main__":
    main()
