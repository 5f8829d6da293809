"""The good pictures in memory as bytes, and beside them, where the encoder is frozen, its maps, computed once."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from core.progress import counted
from training.device import choose_device
from training.fitting.augment import with_copies
from training.network.network import Network
from training.settings import AugmentSettings

_BATCH = 16


class TrainingSet(Dataset[list[Tensor]]):
    """Frames (N, H, W, 3) uint8 and then their copies, given a batch at a time: one by itself costs many operations."""

    def __init__(self, network: Network, frames: Tensor, raw_maps: Tensor | None) -> None:
        self.network = network
        self.frames = frames
        self.raw_maps = raw_maps

    def __len__(self) -> int:
        """Count the pictures, copies included."""
        return len(self.frames)

    def __getitems__(self, indices: list[int]) -> list[Tensor]:
        """Give a batch: [raw maps (B, C, n*h, n*w) float16, where cached] and frames (B, H, W, 3) uint8."""
        chosen = torch.tensor(indices)
        parts = [self.frames] if self.raw_maps is None else [self.raw_maps, self.frames]
        # A list would wait for the GPU on which the frames are.
        return [part[chosen.to(part.device, non_blocking=True)] for part in parts]

    def batches(self, indices: NDArray[np.int64]) -> Iterator[tuple[Tensor, Tensor]]:
        """Give images (B, 3, H, W) and standardised maps (B, C, n*h, n*w) of some pictures, on the network's device."""
        device = self.network.feature_mean.device
        for start in range(0, len(indices), _BATCH):
            chosen = torch.from_numpy(indices[start : start + _BATCH])
            images = self.network.images(self.frames[chosen].to(device))
            raw = self.network.raw_maps(images) if self.raw_maps is None else self.raw_maps[chosen].to(device)
            yield images, self.network.standardised(raw)


def prepare(
    network: Network, frames_bgr_u8: NDArray[np.uint8], augment: AugmentSettings | None = None, seed: int = 0
) -> TrainingSet:
    """Make the training set of frames (N, H, W, 3); sets the standardisation of a network whose encoder is frozen."""
    if augment is not None:
        frames_bgr_u8 = with_copies(frames_bgr_u8, augment, seed)
    # On a GPU they stay there: a step would copy them over again and again.
    frames = torch.from_numpy(frames_bgr_u8).to(choose_device())
    return TrainingSet(network, frames, _cached_maps(network, frames) if network.settings.encoder.frozen else None)


@torch.inference_mode()
def _cached_maps(network: Network, frames: Tensor) -> Tensor:
    """Raw maps (N, C, n*h, n*w) float16 of all frames; sets the network's standardisation from them."""
    device = choose_device()
    network.eval().to(device)
    cached: Tensor | None = None
    total = squares = torch.zeros(1, dtype=torch.float64)
    for start in counted(range(0, len(frames), _BATCH), "encoding once"):
        raw = network.raw_maps(network.images(frames[start : start + _BATCH].to(device))).cpu()
        if cached is None:
            cached = torch.empty(len(frames), *raw.shape[1:], dtype=torch.float16, memory_format=torch.channels_last)
        cached[start : start + len(raw)] = raw.half()
        total = total + raw.double().sum(dim=(0, 2, 3))
        squares = squares + raw.double().square().sum(dim=(0, 2, 3))
    network.cpu()
    assert cached is not None  # noqa: S101 - there is at least one frame
    count = cached.numel() // cached.shape[1]
    mean = total / count
    deviation = (squares / count - mean.square()).clamp_min(0).sqrt().clamp_min(1e-4)
    network.feature_mean.copy_(mean[:, None, None])
    network.feature_std.copy_(deviation[:, None, None])
    return cached
