"""How long decoders have to learn: the recipe's AUROC and training time by epochs, batch size, folds and rate.

    python benchmarks/sketch_epochs.py --mvtec DIR --sets elpv:mono elpv:poly --epochs 10 15 20 30

For cells the choice is to be made by those that the experts were unsure of (probability 1/3 and 2/3) against the good
ones of the test set; the test's AUROC stands beside it. Pixels are not rebuilt: only people look at them. A run's
figures are appended to benchmarks/results/epochs.jsonl as it ends, and one that stands there is not done again.
"""

import argparse
import os
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
import elpv_dataset
import numpy as np
from machine import describe
from quality import RESULTS, SETS, append_run, misses_at_own_share, overlay, read_runs, recipe_for
from sklearn.metrics import roc_auc_score

from assessment.evaluation import evaluate
from core.config import parse_settings
from core.datasets.dataset import ELPV, Sample
from core.datasets.frames import read_frames
from core.thresholds import scores
from training.detector.checkpoint import load_checkpoint
from training.detector.inspector import judge
from training.session import train
from training.settings import TrainingSettings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mvtec", type=Path, help="folder that holds the sets in MVTec layout")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--epochs", nargs="+", type=int, default=[10, 15, 20, 30])
    parser.add_argument("--batch-size", nargs="+", type=int, default=[8])
    parser.add_argument("--folds", nargs="+", type=int, default=[4])
    parser.add_argument("--rates", nargs="+", type=float, default=[0.002], help="optimiser.learning_rate")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    arguments = parser.parse_args()
    log = RESULTS / "epochs.jsonl"
    keys = ("set", "epochs", "batch_size", "folds", "rate", "memory", "seed")
    earlier = {"rate": 0.002, "memory": 0}  # of runs from before these were written down
    memory = TrainingSettings.model_fields["score"].default.memory
    done = {tuple((earlier | run)[key] for key in keys) for run in read_runs(log)}
    for seed, name in product(arguments.seeds, arguments.sets):
        data = name if name.startswith(ELPV) else str(arguments.mvtec / name)
        given = (arguments.epochs, arguments.batch_size, arguments.folds, arguments.rates)
        for epochs, batch_size, folds, rate in product(*given):
            case = dict(zip(keys, (name, epochs, batch_size, folds, rate, memory, seed), strict=True))
            if tuple(case.values()) in done:
                continue
            changes = {"seed": seed, "epochs": epochs, "batch_size": batch_size, "folds": folds}
            changes["optimiser"] = {"learning_rate": rate}
            run = {**case, **measure(data, name, changes), **describe("torch")}
            append_run(log, run)
            print(run, flush=True)


def measure(data: str, name: str, changes: dict[str, Any]) -> dict[str, Any]:
    """Train and evaluate once."""
    with tempfile.TemporaryDirectory() as folder:
        changes = {**changes, "output": folder, "loss": {"pixels": 0}}
        settings = parse_settings(overlay(recipe_for(data, name), changes), TrainingSettings, name)
        started = time.perf_counter(), time.process_time()
        checkpoint = load_checkpoint(train(settings))
        took_s, core_s = time.perf_counter() - started[0], time.process_time() - started[1]
    evaluation = evaluate(checkpoint, data)
    kept = ("auroc", "false_reject_rate", "miss_rate")
    figures = {key: round(float(evaluation.metrics[key]), 4) for key in kept}
    own_share = misses_at_own_share(evaluation, settings.false_reject_rate)
    figures["miss_rate_at_the_tests_own_share"] = round(own_share, 4)
    if name.startswith(ELPV):
        good = evaluation.scores[~evaluation.defective]
        cells = read_frames(unsure_cells(name.removeprefix(ELPV)), settings.network.input)
        unsure = scores(judge(checkpoint.inspector, cells.bgr_u8)[0].astype(np.float64), checkpoint.thresholds)
        figures["auroc_unsure"] = round(
            float(roc_auc_score([0] * len(good) + [1] * len(unsure), np.concatenate([good, unsure]))), 4
        )
    return {**figures, "training_s": round(took_s), "core_s": round(core_s)}


def unsure_cells(cell_type: str) -> list[Sample]:
    """Give the cells of which the experts were not sure: neither trained on nor in the test set."""
    root = Path(str(elpv_dataset.__file__)).parent / "data"
    rows = [row.split() for row in (root / "labels.csv").read_text(encoding="utf-8").splitlines()]
    return [Sample(root / path, "unsure") for path, p, kind in rows if kind == cell_type and 0 < float(p) < 1]


if __name__ == "__main__":
    main()
