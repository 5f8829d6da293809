"""Sketch: what it does to the thresholds where each good part was filmed several times.

    python benchmarks/sketch_bursts.py --mvtec DIR [--sets cookie ...] [--seeds 0 1 2]

Every good training picture is there three times, as a burst takes it: a four-hundredth of its width aside, up to 3 %
darker or brighter, noise of 3 grey levels. Ways: `one each`: the first of each burst alone; `three each`: all, each
taken for a part; `three each, told`: with `bursts: true`. With a third of the epochs where there are three times the
pictures. What is tested is untouched. Configuration: what `train-model init` writes for the set, without pixels, which
only people look at. Figures are appended to benchmarks/results/bursts.jsonl as runs end.
"""

import os
import shutil
from itertools import product
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
import cv2
import numpy as np
from machine import describe
from numpy.typing import NDArray
from quality import RESULTS, append_run, misses_at_own_share, overlay, parser_of_sets, read_runs, recipe_for
from sklearn.metrics import roc_auc_score

from assessment.evaluation import evaluate
from core.config import parse_settings
from core.datasets.dataset import training_samples
from core.pictures.picture import as_bgr_u8, read_as_stored
from training.detector.checkpoint import load_checkpoint
from training.session import train
from training.settings import TrainingSettings

PICTURES = 3
ONE, MANY, TOLD = "one each", "three each", "three each, told"
WAYS = (ONE, MANY, TOLD)
RUNS = Path("runs/bursts")


def main() -> None:
    arguments = parser_of_sets(__doc__).parse_args()
    log = RESULTS / "bursts.jsonl"
    done = {(run["set"], run["seed"], run["way"]) for run in read_runs(log)}
    for seed, name, way in product(arguments.seeds, arguments.sets, WAYS):
        if (name, seed, way) not in done:
            run = measure(arguments.mvtec / name, name, seed, way)
            append_run(log, run)
            print(run, flush=True)


def measure(data: Path, name: str, seed: int, way: str) -> dict[str, Any]:
    """Train and evaluate once."""
    output = RUNS / name / str(seed) / way
    pictures = output / "pictures"
    lay_out(data, pictures, 1 if way == ONE else PICTURES, seed)
    content = overlay(recipe_for(str(data), name), {"loss": {"pixels": 0.0}, "seed": seed})
    content |= {"data": str(pictures), "output": str(output), "epochs": 30 if way == ONE else 30 // PICTURES}
    content["bursts"] = way == TOLD
    settings = parse_settings(content, TrainingSettings, name)
    checkpoint = load_checkpoint(train(settings))
    evaluation = evaluate(checkpoint, str(data))
    is_bad = evaluation.defective
    return {
        "set": name,
        "seed": seed,
        "way": way,
        "auroc": round(float(roc_auc_score(is_bad, evaluation.scores)), 4),
        "false_reject_rate": round(float((evaluation.scores[~is_bad] > 1).mean()), 4),
        "miss_rate": round(float((evaluation.scores[is_bad] <= 1).mean()), 4),
        "miss_rate_at_the_tests_own_share": round(misses_at_own_share(evaluation, settings.false_reject_rate), 4),
        "promised_below": round(checkpoint.thresholds.false_reject_upper, 4),
        "parts": checkpoint.thresholds.parts,
        "odd": checkpoint.thresholds.odd,
        "bursts": len(np.unique(checkpoint.calibration.bursts)),
        **describe("torch"),
    }


def lay_out(data: Path, folder: Path, pictures: int, seed: int) -> None:
    """Write each good picture of a set `pictures` times, as a burst takes it, in the order of the parts."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for number, sample in enumerate(training_samples(str(data))):
        picture = as_bgr_u8(read_as_stored(sample.path))
        for taken in range(pictures):
            shown = picture if taken == 0 else taken_again(picture, rng)
            cv2.imwrite(str(folder / f"{number:04d}-{taken}.png"), shown)


def taken_again(picture_bgr_u8: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Film it again: a four-hundredth of its width aside, a little darker or brighter, with noise."""
    height, width = picture_bgr_u8.shape[:2]
    aside = np.array([[1, 0, rng.normal(0, width / 400)], [0, 1, rng.normal(0, width / 400)]])
    moved = cv2.warpAffine(picture_bgr_u8, aside, (width, height), borderMode=cv2.BORDER_REFLECT)
    noisy = moved * rng.uniform(0.97, 1.03) + rng.normal(0, 3, moved.shape)
    return np.asarray(noisy.round().clip(0, 255), np.uint8)


if __name__ == "__main__":
    main()
