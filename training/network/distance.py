"""Distance between an encoder's stacked maps and rebuilt ones, stage by stage and place by place."""

from collections.abc import Sequence

import torch
from torch import Tensor

from training.settings import Distance

LEAST_SQUARED = 1e-16
"""Keeps the root's gradient finite where a map is 0."""


def stage_distances(rebuilt: Tensor, target: Tensor, channels: Sequence[int], distance: Distance) -> Tensor:
    """Distances (N, stages, h, w) between maps (N, C, h, w) whose stages have `channels` each, in order.

    `squared` is the mean squared difference over a stage's channels, `cosine` is 1 - cosine in 0..2.
    """
    pairs = zip(torch.split(rebuilt, list(channels), dim=1), torch.split(target, list(channels), dim=1), strict=True)
    if distance == "squared":
        return torch.stack([(y - x).square().mean(dim=1) for y, x in pairs], dim=1)
    return torch.stack([1 - _cosine(y, x) for y, x in pairs], dim=1)


def _cosine(y: Tensor, x: Tensor) -> Tensor:
    """Cosine over the channels. PyTorch's own divides both maps by their norms first, three times as much work."""
    squared = y.square().sum(dim=1) * x.square().sum(dim=1)
    return (y * x).sum(dim=1) / squared.clamp_min(LEAST_SQUARED).sqrt()
