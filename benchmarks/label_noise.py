"""Label noise: what happens when one in twenty of the "good" training pictures is defective.

    python benchmarks/label_noise.py --mvtec DIR --sets cookie metal_plate circuitboard

Of each set's good training pictures 5 % (at least one) are replaced by defective ones of the test, seeded; those are
tested no more. Misses stand beside those of the clean run of benchmarks/quality.py on the same test pictures (trained
where its checkpoint is gone), and the planted pictures are looked for among the first 2k of suspects.csv. Figures are
appended to results/label_noise.jsonl.
"""

import argparse
import csv
import os
import random
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
import numpy as np
from machine import describe
from quality import RESULTS, SETS, append_run, overlay, read_runs, recipe_for, trained

from assessment.evaluation import Evaluation, evaluate
from core.config import parse_settings
from core.datasets.dataset import Sample, labelled_samples, training_samples
from core.datasets.layout import GOOD
from training.detector.checkpoint import load_checkpoint
from training.session import train
from training.settings import TrainingSettings

SHARE = 0.05
RUNS = Path("runs/label-noise")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mvtec", type=Path, help="folder that holds the sets in MVTec layout")
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    arguments = parser.parse_args()
    log = RESULTS / "label_noise.jsonl"
    done = {(run["set"], run["seed"]) for run in read_runs(log) if run["method"] == "recipe"}
    for seed in arguments.seeds:
        for name in arguments.sets:
            if (name, seed) not in done:
                run = measure(name if name.startswith("elpv:") else str(arguments.mvtec / name), name, seed)
                append_run(log, run)
                print(run)


def measure(data: str, name: str, seed: int) -> dict[str, Any]:
    good = training_samples(data)
    defective = [sample for sample in labelled_samples(data) if sample.kind != GOOD]
    rng = random.Random(seed)
    count = max(1, round(SHARE * len(good)))
    planted, removed = rng.sample(defective, count), set(rng.sample(range(len(good)), count))
    output = RUNS / name / str(seed)
    folder = output / "pictures"
    kept = [sample for number, sample in enumerate(good) if number not in removed]
    names = lay_out(folder, kept, planted)
    content = overlay(recipe_for(data, name), {"data": str(folder), "output": str(output), "seed": seed})
    settings = parse_settings(content, TrainingSettings, name)
    noisy = load_checkpoint(train(settings))
    with (output / "suspects.csv").open(encoding="utf-8") as file:
        first = [Path(row["file"]).name for row in csv.DictReader(file)][: 2 * count]
    clean = evaluate(load_checkpoint(trained(data, name, "recipe", seed)[0]), data)
    paths = {sample.path for sample in planted}
    return {
        "set": name,
        "method": "recipe",
        "seed": seed,
        "planted": count,
        "found_among_first_2k": len(names & set(first)) / count,
        "odd": noisy.thresholds.odd,
        "miss_rate_clean": misses(clean, paths),
        "miss_rate": misses(evaluate(noisy, data), paths),
        **describe("torch"),
    }


def lay_out(folder: Path, kept: list[Sample], planted: list[Sample]) -> set[str]:
    """Link the pictures into one folder of "good" ones; the names of the planted."""
    folder.mkdir(parents=True)
    for number, sample in enumerate(kept):
        (folder / f"good-{number:04}{sample.path.suffix}").symlink_to(sample.path.resolve())
    names = {f"planted-{number:04}{sample.path.suffix}": sample.path for number, sample in enumerate(planted)}
    for link, path in names.items():
        (folder / link).symlink_to(path.resolve())
    return set(names)


def misses(evaluation: Evaluation, planted: set[Path]) -> float:
    tested = np.array([sample.path not in planted for sample in evaluation.frames.samples]) & evaluation.defective
    return float((evaluation.scores[tested] <= 1).mean())


if __name__ == "__main__":
    main()
