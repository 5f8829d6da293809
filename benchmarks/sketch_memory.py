"""Sketch: a memory of good places beside the decoders, joined place by place, before any error is taken.

    python benchmarks/sketch_memory.py --mvtec DIR [--sets cookie ...] [--seeds 0 1 2] --what train
    python benchmarks/sketch_memory.py --mvtec DIR [--sets cookie ...] [--seeds 0 1 2] --what weigh

`train` trains the recipe without pixels, which only people look at, and keeps what the decoders and the encoder say of
every picture below runs/memory. `weigh` then tries ways of joining both on what is kept, each with thresholds set as a
training sets them, and appends the figures to benchmarks/results/memory-beside.jsonl.
"""

import argparse
import os
from itertools import product
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
import numpy as np
import torch
from sketch_doubted import prepared

from assessment.decidable import decidable
from core.dataset import distinct, labelled_samples, read_frames, training_samples
from core.layout import GOOD
from training.checkpoint import load_checkpoint
from training.folds import assign
from training.session import train
from training.training_set import prepare

RUNS = Path("runs/memory")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mvtec", type=Path, required=True, help="folder that holds the sets in MVTec layout")
    parser.add_argument("--sets", nargs="+", default=["cookie", "metal_plate", "circuitboard"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--planted", action="store_true", help="one in twenty of the good pictures a defective one")
    parser.add_argument("--what", choices=["train", "weigh"], required=True)
    arguments = parser.parse_args()
    for seed, name in product(arguments.seeds, arguments.sets):
        kept = RUNS / "kept" / f"{name}-{seed}{'-planted' if arguments.planted else ''}.pt"
        if arguments.what == "train" and not kept.exists():
            keep(name, arguments.mvtec, seed, arguments.planted, kept)
            print(kept, flush=True)


def keep(name: str, mvtec: Path, seed: int, is_planted: bool, path: Path) -> None:
    """Train once, and keep the maps of the good and the tested pictures, and what the decoders say of them."""
    ready = prepared(RUNS, name, mvtec, seed, is_planted)
    checkpoint = load_checkpoint(train(ready.settings))
    inspector, chosen = checkpoint.inspector, ready.settings.network
    good = distinct(read_frames(training_samples(ready.settings.data), chosen.input))
    tested = decidable(read_frames(labelled_samples(ready.data), chosen.input))
    held_out = assign(len(good.samples), ready.settings)
    judged = np.concatenate(held_out)
    left_out = np.zeros(len(judged), bool)
    left_out[judged] = checkpoint.calibration.doubted
    fold = np.zeros(len(judged), np.int64)
    for number, held in enumerate(held_out):
        fold[held] = number
    dataset = prepare(inspector.network, good.bgr_u8, None, seed)
    inspector.eval()
    far, maps = [], []
    with torch.inference_mode():
        for index in range(len(good.samples)):
            [(images, seen)] = dataset.batches(np.array([index]))
            far.append(inspector.rebuilt(images, seen, int(fold[index]), False)[0])
            maps.append(seen.half())
        tested_far, tested_maps = [], []
        for frame in tested.bgr_u8:
            images = inspector.network.images(torch.from_numpy(frame[None]))
            seen = inspector.network.maps(images)
            members = range(len(held_out))
            each = torch.stack([inspector.rebuilt(images, seen, member, False)[0] for member in members])
            tested_far.append(each.mean(dim=0))
            tested_maps.append(seen.half())
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(
        {
            "fold": torch.from_numpy(fold),
            "left_out": torch.from_numpy(left_out),
            "far": torch.cat(far),
            "maps": torch.cat(maps),
            "tested_far": torch.cat(tested_far),
            "tested_maps": torch.cat(tested_maps),
            "defective": torch.tensor([sample.kind != GOOD for sample in tested.samples]),
            "not_tested": torch.tensor([sample.path in ready.tested_not for sample in tested.samples]),
            "planted": torch.tensor([sample.path.name in ready.planted for sample in good.samples]),
            "rate": ready.settings.false_reject_rate,
            "stage_scale": inspector.stage_scale,
            "judged": torch.from_numpy(judged),
            "calibration_errors": torch.from_numpy(checkpoint.calibration.errors),
            "settings": ready.settings.model_dump_json(),
            "channels": inspector.network.feature_channels,
        },
        path.with_suffix(".part"),
    )
    path.with_suffix(".part").replace(path)


if __name__ == "__main__":
    main()
