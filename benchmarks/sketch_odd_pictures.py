"""Sketch: what to do, in training, with good pictures that stand apart at first look. Figures in docs/results.md.

    python benchmarks/sketch_odd_pictures.py --mvtec DIR --sets cookie metal_plate --looks 0.2 10 --seeds 0 1 2

The recipe's maps, folds and rule; the decoders are trained by the reconstruction alone. Tried on the good pictures as
they are, and with 5 % of them replaced by defective ones, seeded. A look is the share of other pictures that makes a
thing usual (below 1: training/first_look.py without its limit of a tenth), or the epochs of decoders trained to look
(10). What stands apart after the look is

    in          trained on as the others are, and believed
    out         not trained on, but believed when thresholds are set
    both        neither trained on nor believed
    believed    trained on, and not believed
    unstressed  trained on, but not among the worst places that make half of the loss, and believed

Prints a JSON line a run.
"""

import argparse
import json
import os
import random
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
import numpy as np
import torch
from numpy.typing import NDArray
from quality import SETS, recipe_for
from rarity import far, rarity
from sklearn.metrics import roc_auc_score
from torch import Tensor

from core.config import parse_settings
from core.datasets.dataset import labelled_samples, training_samples
from core.datasets.frames import read_frames
from core.datasets.layout import GOOD
from core.thresholds import calibrate, odd_parts, scores, standing
from training.detector.inspector import Inspector
from training.fitting.losses import stressing_worst
from training.network.distance import stage_distances
from training.network.encoder import load_weights
from training.network.network import Network
from training.network.tiles import permutation_set
from training.settings import TrainingSettings

EPOCHS, PLANTED, BATCH = 30, 0.05, 8
CACHE = Path("runs/sketch-maps")
KINDS = ("in", "out", "both", "believed", "unstressed")


def maps_of(name: str, mvtec: Path) -> tuple[Tensor, NDArray[np.bool_], NDArray[np.bool_], TrainingSettings]:
    """Raw maps (N, C, h, w) of the good training pictures, then the tested; which are for training, which defective."""
    data = name if name.startswith("elpv:") else str(mvtec / name)
    settings = parse_settings(recipe_for(data, name) | {"output": "none"}, TrainingSettings, name)
    path, chosen = CACHE / f"{name.replace(':', '-')}.pt", settings.network
    good, tested = training_samples(data), labelled_samples(data)
    trains = np.arange(len(good) + len(tested)) < len(good)
    defective = np.concatenate([np.zeros(len(good), bool), [sample.kind != GOOD for sample in tested]])
    if not path.exists():
        network = new_network(settings).eval()
        load_weights(network.encoder, settings.network.encoder.weights or "")
        raw = []
        with torch.inference_mode():
            for samples in (good, tested):
                frames = read_frames(samples, chosen.input).bgr_u8
                raw += [network.raw_maps(network.images(f)).half() for f in torch.split(torch.from_numpy(frames), 16)]
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(torch.cat(raw), path)
    return torch.load(path, weights_only=True), trains, defective, settings


def new_network(settings: TrainingSettings) -> Network:
    return Network(settings.network, permutation_set(settings.network.grid**2, 1000, 0), 1)


def feature_channels(settings: TrainingSettings) -> list[int]:
    return new_network(settings).feature_channels


def standardised(raw: Tensor, good: NDArray[np.int64]) -> Tensor:
    chosen = raw[torch.from_numpy(good)].float()
    mean, std = chosen.mean((0, 2, 3), keepdim=True), chosen.std((0, 2, 3), keepdim=True)
    return ((raw.float() - mean) / std.clamp_min(1e-4)).contiguous(memory_format=torch.channels_last)


class Run:
    """Decoders cross-fitted on standardised maps (N, C, h, w)."""

    def __init__(self, maps: Tensor, settings: TrainingSettings) -> None:
        self.maps, self.settings = maps, settings
        self.channels = feature_channels(settings)
        self.inspector = Inspector(new_network(settings), settings.score)

    def member(self, fitted: NDArray[np.int64], is_stressed: Tensor, seed: int, epochs: int) -> Network:
        torch.manual_seed(seed)
        network = new_network(self.settings).train()
        batch = min(BATCH, len(fitted))
        steps = epochs * (len(fitted) // batch)
        optimiser = torch.optim.AdamW(network.members.parameters(), 2e-3, weight_decay=1e-4, fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, steps + 1, pct_start=0.1)
        chosen = torch.from_numpy(fitted)
        for _ in range(epochs):
            shuffled = chosen[torch.randperm(len(chosen))]
            for start in range(0, len(chosen) - batch + 1, batch):
                picked = shuffled[start : start + batch]
                distances = self.distances(network, picked)
                loss = distances.mean()
                if is_stressed[picked].any():
                    worst = 2 * stressing_worst(distances[is_stressed[picked]], 0.05)
                    loss = (loss + worst - distances[is_stressed[picked]].mean()) / 2
                optimiser.zero_grad()
                (1000 * loss).backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                schedule.step()
        return network.eval()

    def distances(self, network: Network, chosen: Tensor) -> Tensor:
        maps = self.maps[chosen]
        return stage_distances(network(maps, pixel_images=0).features, maps, self.channels, "cosine")

    def cross_fitted(
        self,
        good: NDArray[np.int64],
        tested: NDArray[np.int64],
        is_fitted: NDArray[np.bool_],
        is_stressed: Tensor,
        seed: int,
        epochs: int,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Errors of good pictures by the decoder without them, and of the tested by all; `is_fitted` (len(good),)."""
        order = np.random.default_rng(seed).permutation(len(good))
        folds = self.settings.folds
        stages, size = len(self.channels), self.maps.shape[2:]
        of_good, of_tested = torch.zeros(len(good), stages, *size), torch.zeros(len(tested), stages, *size)
        for fold in range(folds):
            held = np.sort(order[fold::folds])
            fitted = good[np.setdiff1d(np.flatnonzero(is_fitted), held)]
            network = self.member(fitted, is_stressed, seed * 100 + fold, epochs)
            with torch.inference_mode():
                of_good[held] = self.distances(network, torch.from_numpy(good[held]))
                for part in torch.split(torch.arange(len(tested)), 32):
                    of_tested[part] += self.distances(network, torch.from_numpy(tested)[part]) / folds
        self.inspector.stage_scale.copy_(of_good.mean(dim=(0, 2, 3))[:, None, None])
        told = [self.inspector.errors(one)[0].numpy().astype(np.float64) for one in (of_good, of_tested)]
        return told[0], told[1]


def plant(good: NDArray[np.int64], defective: NDArray[np.bool_], seed: int) -> tuple[NDArray[np.int64], list[int]]:
    """Replace 5 % of the good pictures by defective ones; gives the pictures, and the planted ones."""
    rng = random.Random(seed)
    count = max(1, round(PLANTED * len(good)))
    bad = rng.sample(np.flatnonzero(defective).tolist(), count)
    removed = rng.sample(good.tolist(), count)
    return np.concatenate([np.setdiff1d(good, removed), bad]), bad


def stands_apart(run: Run, good: NDArray[np.int64], look: str, seed: int) -> NDArray[np.bool_]:
    if float(look) < 1:
        maps = run.maps[torch.from_numpy(good)]
        logs = far(maps, run.channels, seed)
        return odd_parts(rarity(logs, (maps.shape[2], maps.shape[3]), "at", float(look), min(59, len(good) - 1)))
    everything = torch.ones(len(run.maps), dtype=torch.bool)
    return odd_parts(run.cross_fitted(good, good[:0], np.ones(len(good), bool), everything, seed, int(look))[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mvtec", type=Path)
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--looks", nargs="+", default=["0.2"])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=["in", "out", "both"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.sets:
        raw, trains, defective, settings = maps_of(name, arguments.mvtec)
        for seed in arguments.seeds:
            clean, all_tested = np.flatnonzero(trains), np.flatnonzero(~trains)
            for good, bad in ((clean, list[int]()), plant(clean, defective, seed)):
                tested = np.setdiff1d(all_tested, bad)
                run = Run(standardised(raw, good), settings)
                for look in arguments.looks:
                    odd = stands_apart(run, good, look, seed)
                    for kind in arguments.kinds:
                        told = {"set": name, "seed": seed, "look": look, "kind": kind, "planted": len(bad)}
                        told |= {"apart": int(odd.sum()), "planted_apart": int(np.isin(good[odd], bad).sum())}
                        told |= treated(run, good, tested, defective, odd, kind, seed)
                        print(json.dumps(told), flush=True)


def treated(
    run: Run,
    good: NDArray[np.int64],
    tested: NDArray[np.int64],
    defective: NDArray[np.bool_],
    odd: NDArray[np.bool_],
    kind: str,
    seed: int,
) -> dict[str, float]:
    """Train with the odd pictures treated as `kind` says, calibrate, and test."""
    started = time.perf_counter()
    is_stressed = torch.ones(len(run.maps), dtype=torch.bool)
    if kind == "unstressed":
        is_stressed[torch.from_numpy(good[odd])] = False
    is_fitted = ~odd if kind in ("out", "both") else np.ones(len(good), bool)
    of_good, of_tested = run.cross_fitted(good, tested, is_fitted, is_stressed, seed, EPOCHS)
    thresholds = calibrate(of_good, 0.05, odd if kind in ("both", "believed") else None)
    ranking, is_bad = scores(of_tested, thresholds), defective[tested]
    planted = np.flatnonzero(defective[good])
    first = np.argsort(-standing(of_good))[: 2 * len(planted)]
    return {
        "odd": thresholds.odd,
        "auroc": round(float(roc_auc_score(is_bad, ranking)), 4),
        "false_reject_rate": round(float((ranking[~is_bad] > 1).mean()), 3),
        "miss_rate": round(float((ranking[is_bad] <= 1).mean()), 3),
        "planted_among_first_2k": int(np.isin(first, planted).sum()),
        "training_s": round(time.perf_counter() - started),
    }


if __name__ == "__main__":
    main()
