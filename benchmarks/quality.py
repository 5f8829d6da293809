"""The results table: every method on every data set over several seeds, one protocol, one budget, beside the controls.

    python benchmarks/quality.py --mvtec DIR          # DIR holds screw/ and cookie/; ELPV comes from its package
    python benchmarks/quality.py --sets elpv:mono --seeds 0

The recipe is configs/elpv-mono.yaml for all sets, but for what a part's geometry dictates (SETS). A run's figures are
appended to benchmarks/results/quality.jsonl as it ends, and a run that stands there is not done again; the table, mean
and spread over the seeds, is printed and written to benchmarks/results/quality.md. Checkpoints stay in runs/quality/,
where benchmarks/figures.py finds them.
"""

import argparse
import json
import os
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
import numpy as np
import yaml
from knn import knn_scores
from machine import describe
from sklearn.metrics import roc_auc_score

from assessment.evaluation import evaluate
from core.config import parse_settings
from core.dataset import GOOD, labelled_samples, read_frames
from training.checkpoint import load_checkpoint
from training.session import train
from training.settings import TrainingSettings

RECIPE = Path("configs/elpv-mono.yaml")
RESULTS = Path("benchmarks/results")
RUNS = Path("runs/quality")
SETS: dict[str, dict[str, Any]] = {
    "elpv:mono": {},
    "elpv:poly": {},
    "screw": {"network": {"height": 144, "width": 480, "part_size": [486, 146]}},
    # 31 good pictures in all: they cannot promise 5 %.
    "cookie": {
        "network": {"height": 144, "width": 192},
        "calibration_share": 0.35,
        "false_reject_rate": 0.1,
    },
}
PIXELS = {"cosine": 0.0, "pixels": 1000.0, "pixels_share": 1.0}
IN_PIXELS = {"space": "pixels", "distance": "squared", "worst_share": 1.0}
ALONE = {"jigsaw": 0.0, "swd": 0.0, "hsic": 0.0, "shuffled_share": 0.0}
METHODS: dict[str, dict[str, Any]] = {
    "l2-AE": {"loss": {**PIXELS, **ALONE}, "score": IN_PIXELS},
    "VAE": {"loss": {**PIXELS, **ALONE, "kl": 0.001}, "score": IN_PIXELS, "network": {"variational": True}},
    "P-WAE without HSIC": {"loss": {**PIXELS, "hsic": 0.0}, "score": IN_PIXELS},
    "P-WAE": {"loss": PIXELS, "score": IN_PIXELS},
    "P-WAE, errors on features": {},
}
COLUMNS = (
    "auroc",
    "max_balanced_accuracy",
    "balanced_accuracy",
    "false_reject_rate",
    "miss_rate",
    "pixel_auroc",
    "aupro",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mvtec", type=Path, help="folder that holds screw/ and cookie/")
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    arguments = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    log = RESULTS / "quality.jsonl"
    runs = read_runs(log)
    done = {(run["set"], run["method"], run["seed"]) for run in runs}
    for seed in arguments.seeds:
        for name in arguments.sets:
            data = name if name.startswith("elpv:") else str(arguments.mvtec / name)
            for method in arguments.methods:
                if (name, method, seed) in done:
                    continue
                for run in measure(data, name, method, seed):
                    runs.append(run)
                    append_run(log, run)
    table = render(runs)
    (RESULTS / "quality.md").write_text(table)
    print(table)


def measure(data: str, name: str, method: str, seed: int) -> list[dict[str, Any]]:
    """Train and evaluate one method; the controls are measured with the recipe's own network, once a seed."""
    output = RUNS / name / method / str(seed)
    content = yaml.safe_load(RECIPE.read_text())
    for changes in (SETS[name], METHODS[method], {"data": data, "output": str(output), "seed": seed}):
        content = overlay(content, changes)
    settings = parse_settings(content, TrainingSettings, method)
    checkpoint = load_checkpoint(train(settings))
    (output / "last.ckpt").unlink()
    common = {"set": name, "seed": seed, **describe("torch")}
    runs = [{**common, "method": method, **evaluate(checkpoint, data).metrics, "data": name}]
    if not METHODS[method]:
        network = settings.network
        frames = read_frames(labelled_samples(data), network.height, network.width, network.part_size)
        defective = [sample.kind != GOOD for sample in frames.samples]
        controls = knn_scores(checkpoint.inspector.network, settings, seed)
        controls["brightness alone"] = frames.bgr_u8.mean(axis=(1, 2, 3))
        for control, scores in controls.items():
            runs.append({**common, "method": control, "auroc": float(roc_auc_score(defective, scores))})
    return runs


def read_runs(log: Path) -> list[dict[str, Any]]:
    """What was measured so far, a JSON line a run."""
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def append_run(log: Path, run: dict[str, Any]) -> None:
    with log.open("a") as file:
        file.write(json.dumps(run) + "\n")


def overlay(content: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Lay `changes` over `content`, section by section."""
    merged = dict(content)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = overlay(merged[key], value) if both else value
    return merged


def render(runs: list[dict[str, Any]]) -> str:
    """A markdown table a set: mean over the seeds, and the spread (standard deviation) where there is more than one."""
    by_set: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        by_set[run["set"]][run["method"]].append(run)
    lines = []
    for name, methods in by_set.items():
        lines += [f"\n### {name}\n", "| method | seeds | " + " | ".join(c.replace("_", " ") for c in COLUMNS) + " |"]
        lines.append("|---" * (len(COLUMNS) + 2) + "|")
        for method, repeated in methods.items():
            cells = [cell([run.get(column) for run in repeated]) for column in COLUMNS]
            lines.append(f"| {method} | {len(repeated)} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def cell(values: list[float | None]) -> str:
    known = np.array([value for value in values if value is not None])
    if not len(known):
        return "-"
    spread = f" ± {statistics.stdev(known.tolist()):.3f}" if len(known) > 1 else ""
    return f"{known.mean():.3f}{spread}"


if __name__ == "__main__":
    main()
