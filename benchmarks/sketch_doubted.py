"""Sketch: whether decoders train on the pictures that a first look doubts, where good pictures are few.

    python benchmarks/sketch_doubted.py --mvtec DIR [--sets cookie ...] [--seeds 0 1 2] [--planted]

Three ways: `left out` of training and thresholds, `trained on` but setting no threshold, `believed` like all others.
Each on the set as it is, and with `--planted` one in twenty (at least one) of its good training pictures replaced by
defective ones, seeded, which are tested no more. Sets: those of benchmarks/quality.py, and those of
benchmarks/unseen_sets.py, on which no choice is made. Configuration: what `train-model init` writes, without pixels,
which only people look at. Figures are appended to benchmarks/results/doubted.jsonl as runs end.
"""

import csv
import os
import random
import shutil
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
import numpy as np
import sketch_unseen
from label_noise import SHARE, lay_out
from machine import describe
from quality import RESULTS, append_run, misses_at_own_share, overlay, parser_of_sets, read_runs, recipe_for
from sketch_forms import changes_of
from sklearn.metrics import roc_auc_score
from unseen_sets import HUNDREDS
from unseen_sets import SETS as UNSEEN

from assessment.evaluation import evaluate
from core.config import parse_settings
from core.datasets.dataset import labelled_samples, training_samples
from core.datasets.layout import GOOD
from training.detector.checkpoint import load_checkpoint
from training.fitting.members import train_members
from training.looking.upright import with_upright_read
from training.session import train
from training.settings import TrainingSettings

WAYS = ("left out", "trained on", "believed")
RUNS = Path("runs/doubted")


def main() -> None:
    parser = parser_of_sets(__doc__)
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument("--planted", action="store_true")
    arguments = parser.parse_args()
    log = RESULTS / "doubted.jsonl"
    done = {(run["set"], run["way"], run["seed"], run["planted"] > 0) for run in read_runs(log)}
    for seed, name, way in product(arguments.seeds, arguments.sets, arguments.ways):
        if (name, way, seed, arguments.planted) not in done:
            run = measure(name, arguments.mvtec, way, seed, arguments.planted)
            append_run(log, run)
            print(run, flush=True)


def measure(name: str, mvtec: Path, way: str, seed: int, is_planted: bool) -> dict[str, Any]:
    """Train and evaluate once."""
    ready = prepared(RUNS, name, mvtec, seed, is_planted)
    data, planted, tested_not = ready.data, ready.planted, ready.tested_not
    settings = ready.settings.model_copy(update={"believe_all": way == "believed"})
    with mock.patch("training.session.train_members", all_train if way == "trained on" else train_members):
        checkpoint = load_checkpoint(train(settings))
    evaluation = evaluate(checkpoint, data)
    tested = np.array([sample.path not in tested_not for sample in evaluation.frames.samples])
    good, bad = tested & ~evaluation.defective, tested & evaluation.defective
    figures: dict[str, Any] = {
        "auroc": roc_auc_score(evaluation.defective[tested], evaluation.scores[tested]),
        "false_reject_rate": (evaluation.scores[good] > 1).mean(),
        "miss_rate": (evaluation.scores[bad] <= 1).mean(),
        "miss_rate_at_the_tests_own_share": misses_at_own_share(evaluation, settings.false_reject_rate),
        "promised_below": checkpoint.thresholds.false_reject_upper,
    }
    figures = {key: round(float(value), 4) for key, value in figures.items()}
    figures |= {
        "parts": len(checkpoint.calibration.names),
        "doubted": int(checkpoint.calibration.doubted.sum()),
        "odd": checkpoint.thresholds.odd,
        "planted": len(planted),
    }
    if planted:
        with (ready.folder / "suspects.csv").open(encoding="utf-8") as file:
            first = [Path(row["file"]).name for row in csv.DictReader(file)][: 2 * len(planted)]
        calibration = checkpoint.calibration
        named = {Path(name).name for name, odd in zip(calibration.names, calibration.odd, strict=True) if odd}
        figures |= {"found": len(planted & set(first)), "told_odd": len(planted & named)}
    return {"set": name, "way": way, "seed": seed, **figures, **describe("torch")}


@dataclass(frozen=True)
class Prepared:
    """A set laid out, and how it is trained on."""

    folder: Path
    data: str
    """What is tested."""
    planted: set[str]
    """The planted pictures' names among those that train."""
    tested_not: set[Path]
    settings: TrainingSettings
    """What `train-model init` writes, without pixels."""


def prepared(
    runs: Path,
    name: str,
    mvtec: Path,
    seed: int,
    is_planted: bool,
    form: str | None = None,
    epochs: int | None = None,
) -> Prepared:
    """Lay a set out in a folder of its own below `runs`, for the recipe or a form of it (`sketch_forms.py`)."""
    folder = runs / name / f"{seed}{'-planted' if is_planted else ''}"
    shutil.rmtree(folder, ignore_errors=True)
    data, pictures, planted, tested_not = pictures_of(name, mvtec, folder, seed, is_planted)
    changes: dict[str, Any] = {"data": pictures, "seed": seed, "output": str(folder), "loss": {"pixels": 0}}
    recipe = recipe_for(data, name)
    if form:
        recipe = overlay(recipe, changes_of(form, recipe.get("network", {})))
    if epochs:
        changes["epochs"] = epochs
    settings = parse_settings(overlay(recipe, changes), TrainingSettings, name)
    return Prepared(folder, data, planted, tested_not, with_upright_read(settings))


def all_train(network: Any, dataset: Any, held_out: Any, settings: Any, left_out: Any) -> Any:
    """Train the decoders on the doubted pictures too."""
    return train_members(network, dataset, held_out, settings, np.zeros_like(left_out))


def pictures_of(
    name: str, mvtec: Path, folder: Path, seed: int, is_planted: bool
) -> tuple[str, str, set[str], set[Path]]:
    """The set, what it trains on, the planted pictures' names there, and those that are tested no more."""
    if name in UNSEEN | HUNDREDS:
        data = folder / "pictures"
        return str(data), str(data), sketch_unseen.lay_out(name, mvtec, seed, data, is_planted), set()
    path = name if name.startswith("elpv:") else str(mvtec / name)
    if not is_planted:
        return path, path, set(), set()
    good = training_samples(path)
    defective = [sample for sample in labelled_samples(path) if sample.kind != GOOD]
    rng = random.Random(seed)
    count = max(1, round(SHARE * len(good)))
    planted, removed = rng.sample(defective, count), set(rng.sample(range(len(good)), count))
    kept = [sample for number, sample in enumerate(good) if number not in removed]
    names = lay_out(folder / "pictures", kept, planted)
    return path, str(folder / "pictures"), names, {sample.path for sample in planted}


if __name__ == "__main__":
    main()
