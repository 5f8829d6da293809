"""The paper's Tables I and II: what it prints, and beside it what we measure on the MVTec AD categories at hand.

    python benchmarks/paper.py --mvtec DIR            # DIR holds one or more of the 15 categories
    python benchmarks/paper.py --mvtec DIR --methods P-WAE recipe --epochs 40 \\
        --encoder '{name: resnet18, stages: [3], stride: 32, weights: resnet18.pth}'

Two forms: the paper's own (configs/paper.yaml: pixels, encoder trained through, SGD), of which `--encoder` and
`--epochs` say what a machine can do, and our recipe as it stands. The printed figures are paper_table_1.csv and
paper_table_2.csv. A run is appended to benchmarks/results/paper.jsonl as it ends and not done again; one that was
interrupted goes on at its last resume point. The tables are printed and written to benchmarks/results/paper.md.
"""

import argparse
import csv
import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from machine import describe
from quality import ALONE, RESULTS, append_run, cell, overlay, read_runs, recipe_for

from assessment.evaluation import evaluate
from assessment.metrics import image_metrics
from core import cli
from core.config import parse_settings
from core.datasets.dataset import labelled_samples, training_samples
from core.datasets.frames import read_frames
from core.datasets.layout import GOOD
from core.errors import PwaeError
from core.thresholds import parts_needed
from training.detector.checkpoint import Checkpoint, load_checkpoint
from training.fitting.resume_point import resume_points
from training.session import train
from training.settings import TrainingSettings

FORM = Path("configs/paper.yaml")
RUNS = Path("runs/paper")
LOG = RESULTS / "paper.jsonl"
HERE = Path(__file__).parent
TABLES = {
    "Table I: maximum balanced accuracy": ("max_balanced_accuracy", HERE / "paper_table_1.csv"),
    "Table II: AUROC of images": ("auroc", HERE / "paper_table_2.csv"),
}
AVERAGE = "avg"
# Section IV.A: 300 x 300, but for the capsule.
SIZES = {"capsule": {"network": {"height": 300, "width": 1008}}}
METHODS: dict[str, dict[str, Any]] = {
    "l2-AE": {"loss": ALONE},
    "VAE": {"loss": {**ALONE, "kl": 0.001}, "network": {"variational": True}},
    "P-WAE without HSIC": {"loss": {"hsic": 0.0}},
    "P-WAE": {},
}
OURS = "recipe"
CONTROL = "brightness alone"
Run = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mvtec", type=Path, required=True, help="folder that holds categories of MVTec AD")
    parser.add_argument("--methods", nargs="+", choices=[*METHODS, OURS], default=[*METHODS, OURS])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument(
        "--encoder", type=yaml.safe_load, default={}, help="`network.encoder` of the paper's form, YAML"
    )
    parser.add_argument("--epochs", type=int, help="epochs of the paper's form")
    arguments = parser.parse_args()
    form = overlay(yaml.safe_load(FORM.read_text()), {"network": {"encoder": arguments.encoder}})
    form["epochs"] = arguments.epochs or form["epochs"]
    categories = [name for name in printed(HERE / "paper_table_1.csv") if (arguments.mvtec / name).is_dir()]
    if not categories:
        sys.exit(f"{arguments.mvtec}: none of MVTec AD's 15 categories stands in it.")
    runs, failed = read_runs(LOG), False
    for seed in arguments.seeds:
        for category in categories:
            for method in [CONTROL, *arguments.methods]:
                try:
                    settings = settings_of(method, category, arguments.mvtec / category, seed, form)
                    common = {"set": category, "budget": budget(method, settings), "seed": seed}
                    if any(common.items() <= run.items() and run["method"] == method for run in runs):
                        continue
                    measured = measure(method, settings)
                except PwaeError as error:
                    print(f"{category}, {method}: {error}", file=sys.stderr)
                    failed = True
                    continue
                for name, figures in measured.items():
                    runs.append({**common, "method": name, **describe("torch"), **figures, "data": category})
                    append_run(LOG, runs[-1])
    table = render(runs)
    (RESULTS / "paper.md").write_text(table)
    print(table)
    sys.exit(failed)


def settings_of(method: str, category: str, data: Path, seed: int, form: dict[str, Any]) -> TrainingSettings:
    """The settings of a run. As many good pictures are kept aside as the thresholds need, where a fifth is too few."""
    if method == OURS:
        layers = [recipe_for(str(data), category)]
    else:
        layers = [form, SIZES.get(category, {}), METHODS.get(method, {})]
    content: dict[str, Any] = {}
    for layer in (*layers, {"data": str(data), "seed": seed}):
        content = overlay(content, layer)
    settings = parse_settings(content, TrainingSettings, method)
    needed = parts_needed(settings.false_reject_rate) / len(training_samples(settings.data))
    output = RUNS / category / method / budget(method, settings) / str(seed)
    share = max(settings.calibration_share, needed)
    return settings.model_copy(update={"output": str(output), "calibration_share": share})


def budget(method: str, settings: TrainingSettings) -> str:
    """What was spent on a run: it tells two rows of one method apart."""
    if method == CONTROL:
        return "-"
    if method == OURS:
        return OURS
    encoder = settings.network.encoder
    # The paper leaves the scale of its terms open, so the weight of its first one is part of the form.
    stages = "+".join(map(str, encoder.stages))
    return f"{encoder.name}, stages {stages}, {settings.epochs} epochs, pixels x {settings.loss.pixels:g}"


def measure(method: str, settings: TrainingSettings) -> dict[str, Run]:
    """Train and evaluate, or look at the pictures' mean grey only; figures by the name of their row."""
    if method == CONTROL:
        network = settings.network
        frames = read_frames(labelled_samples(settings.data), network.input)
        grey = frames.bgr_u8.mean(axis=(1, 2, 3))
        return {method: _ranking(grey, frames.samples)}
    evaluation = evaluate(trained(settings), settings.data)
    # Eq. 22 on its own, as the autoencoders it is compared with are judged.
    image_error = _ranking(evaluation.errors[:, 0], evaluation.frames.samples)
    return {method: evaluation.metrics, f"{method}, image error alone": image_error}


def trained(settings: TrainingSettings) -> Checkpoint:
    """The run's checkpoint: as it stands where these settings made it, or from the last finished epoch, or anew."""
    output = Path(settings.output)
    if settings.checkpoint.is_file():
        checkpoint = load_checkpoint(settings.checkpoint)
        if checkpoint.settings.model_copy(update={"output": settings.output}) == settings:
            return checkpoint
    path = train(settings, resume=bool(resume_points(output)))
    return load_checkpoint(path)


def _ranking(scores: Any, samples: Any) -> Run:
    """Figures that need no threshold."""
    figures = image_metrics(scores, np.array([sample.kind != GOOD for sample in samples]))
    return {name: figures[name] for name in ("auroc", "max_balanced_accuracy")}


def printed(path: Path) -> dict[str, dict[str, float]]:
    """One of the paper's tables: by category, and last their average, the figure of each method."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {row.pop("category"): {name: float(figure) for name, figure in row.items()} for row in rows}


def render(runs: list[Run]) -> str:
    """Both tables in markdown: a row a method, the printed ones first, a column a category."""
    lines = []
    for title, (measure_name, path) in TABLES.items():
        table = printed(path)
        lines += [f"\n### {title}\n", "| method | " + " | ".join(name.replace("_", " ") for name in table) + " |"]
        lines.append("|---" * (len(table) + 1) + "|")
        for name in table[AVERAGE]:
            figures = " | ".join(f"{row[name]:.2f}" for row in table.values())
            lines.append(f"| {name}, printed | {figures} |")
        for method, spent in dict.fromkeys((run["method"], run["budget"]) for run in runs):
            of_row = [run for run in runs if (run["method"], run["budget"]) == (method, spent)]
            values = {name: [run[measure_name] for run in of_row if run["set"] == name] for name in table}
            measured = [value for name in values for value in values[name]]
            # An average over other categories than the paper's would stand beside it in vain.
            if all(values[name] for name in table if name != AVERAGE):
                values[AVERAGE] = [sum(measured) / len(measured)]
            label = f"**{method}**, ours" + ("" if method == CONTROL else f" ({spent})")
            lines.append(f"| {label} | " + " | ".join(cell(values[name]) for name in table) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    cli.run(main)
