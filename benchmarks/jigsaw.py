"""Does the jigsaw head tell a misplaced or turned part from a good one? Asked of a checkpoint's own test pictures.

    python benchmarks/jigsaw.py runs/elpv-mono/checkpoint

The signal is the cross-entropy of the identity permutation: how unlike a whole picture the tiles look. AUROC is against
good test parts as they are.
"""

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
import numpy as np
import torch
from machine import describe
from sklearn.metrics import roc_auc_score

from core.datasets.dataset import labelled_samples
from core.datasets.frames import read_frames
from core.datasets.layout import GOOD
from training.detector.checkpoint import load_checkpoint
from training.network.network import Network
from training.network.tiles import merge, shuffle, split


@torch.inference_mode()
def logits_of(network: Network, frames_bgr_u8: np.ndarray, order: torch.Tensor | None = None) -> torch.Tensor:
    """Permutation logits (N, S) of frames (N, H, W, 3), their tiles shown in `order` (N, K)."""
    maps = torch.cat([network.maps(network.images(batch)) for batch in torch.from_numpy(frames_bgr_u8).split(16)])
    grid = network.settings.grid
    seen = maps if order is None else merge(shuffle(split(maps, grid), order))
    return torch.cat(
        [network(batch, torch.zeros(len(batch), dtype=torch.long), pixel_images=0).logits for batch in seen.split(16)]
    )


def main() -> None:
    checkpoint = load_checkpoint(Path(sys.argv[1]))
    network, settings = checkpoint.inspector.network, checkpoint.settings
    frames = read_frames(labelled_samples(settings.data), settings.network.input)
    defective = np.array([sample.kind != GOOD for sample in frames.samples])
    good = frames.bgr_u8[~defective]
    torch.manual_seed(0)
    drawn = torch.randint(1, len(network.permutations), (len(good),))
    tiles = settings.network.grid**2
    swapped = torch.arange(tiles).repeat(len(good), 1)
    pairs = torch.stack([torch.randperm(tiles)[:2] for _ in good])
    swapped.scatter_(1, pairs, pairs.flip(1))
    shuffled = logits_of(network, good, network.permutations[drawn])
    seen = {
        "all tiles shuffled": shuffled,
        "two tiles swapped": logits_of(network, good, swapped),
        "picture turned by 180 degrees": logits_of(network, np.ascontiguousarray(good[:, ::-1, ::-1])),
        "picture mirrored": logits_of(network, np.ascontiguousarray(good[:, :, ::-1])),
        "defective": logits_of(network, frames.bgr_u8[defective]),
    }
    whole = unlikeness(logits_of(network, good))
    aurocs = {}
    for name, logits in seen.items():
        labels = np.r_[np.zeros(len(whole)), np.ones(len(logits))]
        aurocs[name] = round(float(roc_auc_score(labels, np.r_[whole, unlikeness(logits)])), 3)
    result = {
        "checkpoint": settings.name,
        "permutations_named": round(float((shuffled.argmax(dim=1) == drawn).float().mean()), 3),
        "auroc": aurocs,
        **describe("torch"),
    }
    print(json.dumps(result, indent=2))


def unlikeness(logits: torch.Tensor) -> np.ndarray:
    """Cross-entropy (N,) of the identity, which is permutation 0."""
    return -torch.log_softmax(logits, dim=1)[:, 0].numpy()


if __name__ == "__main__":
    main()
