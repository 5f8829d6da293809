"""The results table: every method on every data set over several seeds, one protocol, one budget, beside the controls.

    python benchmarks/quality.py --mvtec DIR          # DIR holds screw/, cookie/ and so on; ELPV comes by pip
    python benchmarks/quality.py --sets elpv:mono --seeds 0

The recipe is the defaults of `train-model` for all sets, with what `train-model init` reads from the good pictures. A
run's figures are appended to benchmarks/results/quality.jsonl as it ends, and one that stands there is not done again;
the table, mean and spread over the seeds, is printed and written to benchmarks/results/quality.md. Checkpoints stay in
runs/quality/, where benchmarks/figures.py finds them.
"""

import argparse
import json
import os
import statistics
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
import numpy as np
import yaml
from machine import describe
from patchcore import patchcore_scores, resnet18_scores
from sklearn.metrics import roc_auc_score

from assessment.evaluation import Evaluation, evaluate
from core.config import parse_settings
from core.datasets.dataset import labelled_samples, training_samples
from core.datasets.frames import read_frames
from core.datasets.layout import GOOD
from core.pictures.geometry import ModelInput
from training.detector.checkpoint import load_checkpoint
from training.looking.advice import advise
from training.looking.survey import survey
from training.session import train
from training.settings import TrainingSettings

RESULTS = Path("benchmarks/results")
RUNS = Path("runs/quality")
SETS = ("elpv:mono", "elpv:poly", "screw", "cookie", "metal_plate", "circuitboard")
PIXELS = {"cosine": 0.0, "pixels": 1000.0, "pixels_share": 1.0}
IN_PIXELS = {"space": "pixels", "distance": "squared", "worst_share": 1.0, "memory": 0}
TILES_ALONE = {"encoder": {"whole": False}}
ALONE = {"jigsaw": 0.0, "swd": 0.0, "hsic": 0.0, "shuffled_share": 0.0}
OF_PIXELS: dict[str, Any] = {"score": IN_PIXELS, "network": TILES_ALONE}
METHODS: dict[str, dict[str, Any]] = {
    "recipe": {},
    # The recipe before places were remembered.
    "decoders alone": {"score": {"memory": 0}},
    # The form for small boxes, as `train-model init --fast` writes it.
    "fast": {},
    "tiles' maps alone": {"network": TILES_ALONE},
    "l2-AE": {**OF_PIXELS, "loss": {**PIXELS, **ALONE}},
    "VAE": {**OF_PIXELS, "loss": {**PIXELS, **ALONE, "kl": 0.001}, "network": {**TILES_ALONE, "variational": True}},
    "P-WAE without HSIC": {**OF_PIXELS, "loss": {**PIXELS, "hsic": 0.0}},
    "P-WAE": {**OF_PIXELS, "loss": PIXELS},
}
SAME_ENCODER = "PatchCore, the same encoder"
RESNET18 = "PatchCore, ResNet-18 at 256 px"
COLUMNS = (
    "auroc",
    "max_balanced_accuracy",
    "balanced_accuracy",
    "false_reject_rate",
    "miss_rate",
    "miss_rate_at_the_tests_own_share",
    "pixel_auroc",
    "aupro",
)


def parser_of_sets(told: str | None) -> argparse.ArgumentParser:
    """Read the command line of a sketch on a few sets in MVTec layout; `told` is what it says of itself."""
    parser = argparse.ArgumentParser(description=told, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mvtec", type=Path, required=True, help="folder that holds the sets in MVTec layout")
    parser.add_argument("--sets", nargs="+", default=["cookie", "metal_plate", "circuitboard"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    return parser


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mvtec", type=Path, help="folder that holds the sets in MVTec layout")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--resnet18", type=Path, help="torchvision's weights: PatchCore with ResNet-18 at 256 px too")
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
                controls = method == "recipe" and (name, SAME_ENCODER, seed) not in done
                for run in measure(data, name, method, seed, controls):
                    runs.append(run)
                    append_run(log, run)
            if arguments.resnet18 and (name, RESNET18, seed) not in done:
                runs.append(control_run(data, name, seed, arguments.resnet18))
                append_run(log, runs[-1])
    table = summary(runs) + render(runs)
    (RESULTS / "quality.md").write_text(table)
    print(table)


def trained(data: str, name: str, method: str, seed: int) -> tuple[Path, TrainingSettings, dict[str, int]]:
    """Train one method, unless its checkpoint stands there: the checkpoint, its settings, and how long it took."""
    output = RUNS / name / method / str(seed)
    content = overlay(configured(data, name, method), {"output": str(output), "seed": seed})
    settings = parse_settings(content, TrainingSettings, method)
    took: dict[str, int] = {}
    if not settings.checkpoint.exists():
        started = time.perf_counter()
        train(settings)
        took["training_s"] = round(time.perf_counter() - started)
    return settings.checkpoint, settings, took


def measure(data: str, name: str, method: str, seed: int, with_controls: bool) -> list[dict[str, Any]]:
    """Evaluate one method, trained first if need be; the controls come with the recipe's own network, once a seed."""
    path, settings, took = trained(data, name, method, seed)
    checkpoint = load_checkpoint(path)
    # A checkpoint that stands there may be older than today's rule.
    thresholds = checkpoint.calibration.thresholds(settings.false_reject_rate)
    checkpoint = replace(checkpoint, thresholds=thresholds)
    evaluation = evaluate(checkpoint, data)
    figures = {key: value for key, value in evaluation.metrics.items() if not isinstance(value, dict | list)}
    figures["miss_rate_at_the_tests_own_share"] = misses_at_own_share(evaluation, settings.false_reject_rate)
    figures |= {"calibrated_with": checkpoint.thresholds.parts, "odd": checkpoint.thresholds.odd}
    common = {"set": name, "seed": seed, **describe("torch")}
    runs = [{**common, "method": method, **figures, "data": name, **took}]
    if with_controls:
        good_frames = read_frames(training_samples(data), checkpoint.settings.network.input)
        controls = {
            SAME_ENCODER: patchcore_scores(checkpoint.inspector.network, good_frames, evaluation.frames, seed),
            "brightness alone": evaluation.frames.bgr_u8.mean(axis=(1, 2, 3)),
        }
        for control, scores in controls.items():
            auroc = float(roc_auc_score(evaluation.defective, scores))
            runs.append({**common, "method": control, "auroc": auroc})
    return runs


def misses_at_own_share(evaluation: Evaluation, rate: float) -> float:
    """Give the miss rate at the threshold that rejects just `rate` of the test's own good parts: a yardstick only."""
    good, bad = evaluation.scores[~evaluation.defective], evaluation.scores[evaluation.defective]
    return float((bad <= np.sort(good)[::-1][round(rate * len(good))]).mean())


def control_run(data: str, name: str, seed: int, weights: Path) -> dict[str, Any]:
    """PatchCore as people run it: ResNet-18, the whole picture squeezed to 256 x 256. Large sets take an hour."""
    squeezed = ModelInput(256, 256)
    good, tested = (read_frames(samples, squeezed) for samples in (training_samples(data), labelled_samples(data)))
    is_defective = [sample.kind != GOOD for sample in tested.samples]
    auroc = float(roc_auc_score(is_defective, resnet18_scores(weights, good, tested, seed)))
    return {"set": name, "seed": seed, **describe("torch"), "method": RESNET18, "auroc": auroc}


def recipe_for(data: str, name: str, is_fast: bool = False, bits: int | None = None) -> dict[str, Any]:
    """Give the configuration that `train-model init` writes for the good pictures of `data`, by the camera's `bits`."""
    content: dict[str, Any] = yaml.safe_load(advise(survey(data, None, bits), is_fast).as_yaml(name, data))
    return content


def configured(data: str, name: str, method: str, bits: int | None = None) -> dict[str, Any]:
    """Lay a method over the configuration that `train-model init` writes."""
    return overlay(recipe_for(data, name, method == "fast", bits), METHODS[method])


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


def summary(runs: list[dict[str, Any]]) -> str:
    """One line a set: the recipe beside its controls, as docs/results.md shows it."""
    heads = ["AUROC", "PatchCore, same encoder", "PatchCore, ResNet-18", "brightness alone", "pixel AUROC", "AUPRO"]
    heads += ["good rejected", "misses", "misses at the test's own share", "set thresholds, left out"]
    lines = ["| set | seeds | " + " | ".join(heads) + " |", "|---" * (len(heads) + 2) + "|"]
    for name in SETS:
        by_method: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for run in runs:
            if run["set"] == name:
                by_method[run["method"]].append(run)
        recipe = by_method["recipe"]
        controls = (SAME_ENCODER, RESNET18, "brightness alone")
        cells = [cell([run["auroc"] for run in recipe])]
        cells += [cell([run["auroc"] for run in by_method[control]]) for control in controls]
        cells += [cell([run.get(key) for run in recipe]) for key in ("pixel_auroc", "aupro")]
        shares = ("false_reject_rate", "miss_rate", "miss_rate_at_the_tests_own_share")
        cells += [", ".join(f"{run[key]:.1%}" for run in recipe) or "-" for key in shares]
        cells.append(", ".join(f"{run['calibrated_with']} + {run['odd']}" for run in recipe) or "-")
        lines.append(f"| {name} | {len(recipe)} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


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
