"""The control: nearest-neighbour distance on the same pretrained maps (PatchCore-like), no training at all."""

import numpy as np
import torch
from numpy.typing import NDArray

from core.dataset import labelled_samples, read_frames, training_samples
from training.network import Network
from training.settings import TrainingSettings
from training.tiles import merge

MEMORY = 6000


@torch.inference_mode()
def knn_scores(network: Network, settings: TrainingSettings, seed: int) -> dict[str, NDArray[np.float64]]:
    """Scores of the test pictures by the largest and by the mean distance of their places to `MEMORY` good places."""
    size = (settings.network.height, settings.network.width, settings.network.part_size)
    network.eval()
    good = _places(network, read_frames(training_samples(settings.data), *size).bgr_u8)
    generator = torch.Generator().manual_seed(seed)
    places = good.flatten(0, 1)
    memory = places[torch.randperm(len(places), generator=generator)[:MEMORY]]
    tested = _places(network, read_frames(labelled_samples(settings.data), *size).bgr_u8)
    nearest = torch.stack([torch.cdist(part, memory).amin(dim=1) for part in tested])
    return {
        "kNN control, largest place": nearest.amax(dim=1).double().numpy(),
        "kNN control, mean": nearest.mean(dim=1).double().numpy(),
    }


def _places(network: Network, frames_bgr_u8: NDArray[np.uint8], batch_size: int = 16) -> torch.Tensor:
    """Map vectors (N, places, C) of frames (N, H, W, 3)."""
    starts = range(0, len(frames_bgr_u8), batch_size)
    frames = torch.from_numpy(frames_bgr_u8)
    maps = [merge(network.features(network.images(frames[start : start + batch_size]))) for start in starts]
    return torch.cat(maps).flatten(2).transpose(1, 2)
