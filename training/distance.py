"""Distance between an encoder's stacked maps and rebuilt ones, stage by stage and place by place."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

Distance = Literal["squared", "cosine"]


def stage_distances(rebuilt: Tensor, target: Tensor, channels: Sequence[int], distance: Distance) -> Tensor:
    """Distances (N, stages, h, w) between maps (N, C, h, w) whose stages have `channels` each, in order.

    `squared` is the mean squared difference over a stage's channels, `cosine` is 1 - cosine in 0..2.
    """
    pairs = zip(torch.split(rebuilt, list(channels), dim=1), torch.split(target, list(channels), dim=1), strict=True)
    if distance == "squared":
        return torch.stack([(y - x).square().mean(dim=1) for y, x in pairs], dim=1)
    return torch.stack([1 - cosine_similarity(y, x, dim=1) for y, x in pairs], dim=1)
