"""Sketch: pictures that trained as they are, and tested ones that were saved again as JPEG.

    python benchmarks/sketch_jpeg.py --mvtec DIR [--sets cookie metal_plate nuts "thirty cells"]

Sets of unseen_sets.py are drawn and kept as PNG, others are read from DIR in MVTec layout, JPEG themselves. One
training a set, seed 0, 5 % asked, what `train-model init` writes, without rebuilt pixels. A line for each quality is
appended to benchmarks/results/jpeg.jsonl; one that stands there is not measured again.
"""

import argparse
import os
import shutil
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
import cv2
import numpy as np
from machine import describe
from quality import RESULTS, append_run, configured, overlay, read_runs
from sketch_unseen import ALL

from assessment.evaluation import evaluate
from core.config import parse_settings
from core.pictures.picture import list_pictures, read_picture
from training.detector.checkpoint import load_checkpoint
from training.session import train
from training.settings import TrainingSettings

RUNS = Path("runs/jpeg")
QUALITIES = (None, 100, 98, 95, 92, 80, 60)
"""None: as they are."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mvtec", type=Path, required=True, help="folder that holds the sets in MVTec layout")
    parser.add_argument("--sets", nargs="+", default=["cookie", "metal_plate", "nuts", "thirty cells"])
    arguments = parser.parse_args()
    log = RESULTS / "jpeg.jsonl"
    done = {(run["set"], run["quality"]) for run in read_runs(log)}
    for name in arguments.sets:
        if all((name, quality) in done for quality in QUALITIES):
            continue
        folder = RUNS / name
        shutil.rmtree(folder, ignore_errors=True)
        pictures = drawn(name, arguments.mvtec, folder / "pictures") if name in ALL else arguments.mvtec / name
        changes: dict[str, Any] = {"seed": 0, "output": str(folder), "loss": {"pixels": 0}}
        advised = configured(str(pictures), name, "recipe")
        checkpoint = load_checkpoint(train(parse_settings(overlay(advised, changes), TrainingSettings, name)))
        for quality in QUALITIES:
            tested = pictures if quality is None else saved_again(pictures, folder / f"q{quality}", quality)
            metrics = evaluate(checkpoint, str(tested)).metrics
            figures = {key: round(float(metrics[key]), 4) for key in ("auroc", "false_reject_rate", "miss_rate")}
            if (name, quality) not in done:
                append_run(log, {"set": name, "quality": quality, **figures, **describe("torch")})
            print({"set": name, "quality": quality, **figures}, flush=True)


def drawn(name: str, mvtec: Path, folder: Path) -> Path:
    """Draw a set, and keep it without loss."""
    counts: dict[str, int] = {}
    for kind, picture in ALL[name](np.random.default_rng(0), mvtec):
        counts[kind] = counts.get(kind, 0) + 1
        path = folder / kind / f"{counts[kind]:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), picture)
    return folder


def saved_again(pictures: Path, folder: Path, quality: int) -> Path:
    """Save the tested pictures again as JPEG."""
    for path in (each for kind in sorted((pictures / "test").iterdir()) for each in list_pictures(kind)):
        to = (folder / path.relative_to(pictures)).with_suffix(".jpg")
        to.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(to), read_picture(path), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return folder


if __name__ == "__main__":
    main()
