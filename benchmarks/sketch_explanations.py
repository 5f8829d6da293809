"""Sketch: which maps, rebuilt or remembered, tell defects, and what a part's pose is worth. Figures in docs/results.md.

    python benchmarks/sketch_explanations.py --mvtec DIR elpv:mono=whole screw=outline circuitboard=registered

Decoders alone (no jigsaw, no priors, no pixels), EfficientNet-Lite0, four folds, 30 epochs, frames of short side 144.
T: maps of tiles at 144 px, W: of the whole picture at 144 px, B: of the whole picture at 288 px, averaged to as many
places. d: rebuilt from the tiles' latents, k: the nearest of 6,000 remembered places of other pictures. Parts are cut
out as `whole`, by `outline` (core/pictures/pose.py), or `registered` (phase correlation, then ECC with a Euclidean
motion, to the median of the training pictures). Prints the AUROC by the largest standardised log error.
"""

import argparse
import itertools
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, normalize

from core.datasets.dataset import labelled_samples, training_samples
from core.datasets.layout import GOOD
from core.pictures.geometry import Pose
from core.pictures.picture import read_picture
from core.pictures.pose import cut_out, locate, outline
from core.thresholds import log_errors, median_and_spread
from training.fitting.losses import stressing_worst
from training.network.distance import stage_distances
from training.network.encoder import Encoder, load_weights
from training.network.network import mean_and_contrast
from training.network.resize import resize
from training.network.tiles import merge, split
from training.settings import TrainingSettings

STAGES = (3, 5, 6, 7)
CHANNELS = [40, 112, 192, 320]
FOLDS, EPOCHS, BATCH, MEMORY = 4, 30, 8, 6000


def posed(pictures: list[NDArray[np.uint8]], train: int, pose: str) -> list[NDArray[np.uint8]]:
    if pose == "outline":
        extents = np.array([outline(picture).extents for picture in pictures[:train]])
        length, breadth = np.ceil(np.percentile(extents, 95, axis=0) * 1.05)
        size = int(length), int(breadth)
        return [cut_out(picture, locate(picture, Pose(size)), size) for picture in pictures]
    return registered(pictures, train) if pose == "registered" else pictures


def registered(pictures: list[NDArray[np.uint8]], train: int, width: int = 250) -> list[NDArray[np.uint8]]:
    scale = width / pictures[0].shape[1]
    small: list[Any] = [cv2.resize(p, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for p in pictures]
    median = np.median(np.stack(small[:train]), axis=0).astype(np.uint8)
    for _ in range(2):
        aligned = [warped(one, motion(one, median)) for one in small[:train]]
        median = np.median(np.stack(aligned), axis=0).astype(np.uint8)
    moved = []
    for picture, one in zip(pictures, small, strict=True):
        move = motion(one, median).astype(np.float64)
        middle = np.full(2, 0.5 / scale - 0.5)
        move[:, 2] = move[:, 2] / scale + middle - move[:, :2] @ middle
        moved.append(warped(picture, move))
    return moved


def motion(picture: NDArray[np.uint8], median: NDArray[np.uint8]) -> NDArray[np.float32]:
    one, other = (cv2.cvtColor(x, cv2.COLOR_BGR2GRAY).astype(np.float32) for x in (median, picture))
    (dx, dy), _ = cv2.phaseCorrelate(one, other, cv2.createHanningWindow(one.shape[::-1], cv2.CV_32F))
    shift = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 50, 1e-4)
    ecc: Any = cv2.findTransformECC  # whose stub asks for a mask
    try:
        return ecc(one, other, shift.copy(), cv2.MOTION_EUCLIDEAN, criteria, None, 5)[1]
    except cv2.error:
        return shift


def warped(picture: NDArray[np.uint8], move: NDArray[np.floating]) -> NDArray[np.uint8]:
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(picture, move, picture.shape[1::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint8)


@torch.inference_mode()
def encoded(pictures: list[NDArray[np.uint8]], train: int) -> dict[str, Tensor]:
    """Maps (N, 664, h, w) by name, standardised by the training pictures."""
    encoder = Encoder("efficientnet-lite0", 7)
    load_weights(encoder, "package")
    encoder.eval()
    short = min(pictures[0].shape[:2])
    height, width = (round(side / short * 3) * 48 for side in pictures[0].shape[:2])
    found: dict[str, list[Tensor]] = {"T": [], "W": [], "B": []}
    for picture in pictures:
        small, big = (
            images(np.asarray(cv2.resize(picture, (width * k, height * k), interpolation=cv2.INTER_AREA), np.uint8))
            for k in (1, 2)
        )
        tiles = split(small, 3)
        stacked_tiles = stacked(encoder(tiles.flatten(0, 1)), height // 48, width // 48)
        found["T"].append(merge(stacked_tiles.reshape(1, 9, *stacked_tiles.shape[1:])))
        found["W"].append(stacked(encoder(small), height // 16, width // 16))
        whole = stacked(encoder(big), height // 8, width // 8)
        found["B"].append(adaptive_avg_pool2d(whole, (height // 16, width // 16)))
    maps = {name: torch.cat(parts) for name, parts in found.items()}
    for name, m in maps.items():
        mean, std = m[:train].mean((0, 2, 3), keepdim=True), m[:train].std((0, 2, 3), keepdim=True)
        maps[name] = ((m - mean) / std.clamp_min(1e-4)).contiguous(memory_format=torch.channels_last)
    return maps


def images(frame: NDArray[np.uint8]) -> Tensor:
    x = torch.from_numpy(frame[None, :, :, ::-1].copy()).float().permute(0, 3, 1, 2) / 255
    mean, contrast = mean_and_contrast(x)
    return (x - mean) / contrast * 0.2 + 0.45


def stacked(maps: list[Tensor], height: int, width: int) -> Tensor:
    return torch.cat([resize(maps[stage - 1], height, width) for stage in STAGES], dim=1)


class Decoder(nn.Module):
    def __init__(self, targets: int) -> None:
        super().__init__()
        settings = TrainingSettings(name="none", data="none", output="none").network
        widths = [settings.latent_channels, *[settings.decoder_channels] * settings.decoder_depth]
        blocks = [
            nn.Sequential(nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU())
            for i, o in itertools.pairwise(widths)
        ]
        self.trunk = nn.Sequential(nn.Conv2d(sum(CHANNELS), widths[0], 1), *blocks)
        self.heads = nn.ModuleList(nn.Conv2d(widths[-1], sum(CHANNELS), 1) for _ in range(targets))

    def forward(self, tiles: Tensor) -> list[Tensor]:
        trunk = self.trunk(tiles)
        return [head(trunk) for head in self.heads]


def cross_fitted(maps: dict[str, Tensor], train: int, seed: int) -> dict[str, Tensor]:
    """Error maps (N, h, w): of training pictures by the decoder without them, of others the mean of all decoders."""
    total = len(maps["T"])
    distances = {name: torch.zeros(total, len(CHANNELS), *m.shape[2:]) for name, m in maps.items()}
    order = np.random.default_rng(seed).permutation(train)
    for fold in range(FOLDS):
        held = np.sort(order[fold::FOLDS])
        decoder = fitted(maps, torch.from_numpy(np.setdiff1d(np.arange(train), held)), seed * 100 + fold)
        with torch.inference_mode():
            for (name, m), rebuilt in zip(maps.items(), decoder(maps["T"]), strict=True):
                distance = stage_distances(rebuilt, m, CHANNELS, "cosine")
                distances[name][held] = distance[held]
                distances[name][train:] += distance[train:] / FOLDS
    return {f"d{name}": (d / d[:train].mean((0, 2, 3), keepdim=True)).mean(1) for name, d in distances.items()}


def fitted(maps: dict[str, Tensor], chosen: Tensor, seed: int) -> Decoder:
    torch.manual_seed(seed)
    decoder = Decoder(len(maps))
    decoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # its stub knows no such argument
    batch = min(BATCH, len(chosen))
    optimiser = torch.optim.AdamW(decoder.parameters(), 2e-3, weight_decay=1e-4, fused=True)
    steps = EPOCHS * (len(chosen) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, steps + 1, pct_start=0.1)
    for _ in range(EPOCHS):
        shuffled = chosen[torch.randperm(len(chosen))]
        for start in range(0, len(chosen) - batch + 1, batch):
            picked = shuffled[start : start + batch]
            pairs = zip(decoder(maps["T"][picked]), maps.values(), strict=True)
            terms = [stressing_worst(stage_distances(y, m[picked], CHANNELS, "cosine"), 0.05) for y, m in pairs]
            optimiser.zero_grad()
            torch.stack(terms).mean().backward()
            optimiser.step()
            schedule.step()
    return decoder.eval()


@torch.inference_mode()
def remembered(maps: Tensor, train: int, seed: int) -> Tensor:
    """Error maps (N, h, w): the distance of each place to the nearest in memory that is another picture's."""
    parts = [normalize(part, dim=1) for part in torch.split(maps, CHANNELS, dim=1)]
    vectors = torch.cat(parts, dim=1).flatten(2).transpose(1, 2) / len(CHANNELS) ** 0.5
    places = vectors[:train].flatten(0, 1)
    owner = torch.arange(train).repeat_interleave(vectors.shape[1])
    kept = torch.randperm(len(places), generator=torch.Generator().manual_seed(seed))[:MEMORY]
    memory, owner = places[kept], owner[kept]
    nearest = []
    for number, picture in enumerate(vectors):
        squared = (picture.square().sum(1)[:, None] + memory.square().sum(1) - 2 * picture @ memory.T).clamp_min(1e-9)
        squared[:, owner == number] = torch.inf
        nearest.append(squared.min(dim=1).values / 2)
    return torch.stack(nearest).reshape(len(maps), *maps.shape[2:])


def auroc(error_map: Tensor, train: int, defective: NDArray[np.bool_]) -> float:
    places = split(error_map[:, None], 3).flatten(2)
    tiles = places.topk(max(1, round(0.05 * places.shape[2])), dim=2).values.mean(2)
    logs = log_errors(torch.cat([tiles.mean(1, keepdim=True), tiles], dim=1).numpy())
    median, spread = median_and_spread(logs[:train])
    return float(roc_auc_score(defective, ((logs[train:] - median) / spread).max(axis=1)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", metavar="SET=POSE")
    parser.add_argument("--mvtec", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    for text in arguments.sets:
        name, _, pose = text.rpartition("=")
        data = name if name.startswith("elpv:") else str(arguments.mvtec / name)
        good, tested = training_samples(data), labelled_samples(data)
        train = len(good)
        defective = np.array([sample.kind != GOOD for sample in tested])
        maps = encoded(posed([read_picture(sample.path) for sample in good + tested], train, pose), train)
        errors = cross_fitted(maps, train, arguments.seed)
        errors |= {f"k{kind}": remembered(m, train, arguments.seed) for kind, m in maps.items()}
        mixtures = ["dT", "dW", "dB", "kT", "kW", "kB", "dT dB", "dB kB", "dT dB kB", "dT dB kW", "dT dW dB kW kB"]
        for mixture in mixtures:
            logs = [errors[part].clamp_min(1e-9).log() for part in mixture.split()]
            mixed = torch.stack([log - log[:train].mean() for log in logs]).mean(0).exp()
            print(f"{text:24s} {mixture:16s} {auroc(mixed, train, defective):.3f}", flush=True)


if __name__ == "__main__":
    main()
