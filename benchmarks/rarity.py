"""Rarity: how far the places of a picture are from those most alike in other pictures, by the recipe's maps."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from training.network.tiles import split

SHARES = (0.05, 0.1, 0.15, 0.2)
"""Of the other pictures, by which nearness is told."""


@torch.inference_mode()
def far(maps: Tensor, channels: list[int], seed: int, references: int = 60) -> Tensor:
    """Log distances (N, P, k) of places to the most alike one of each other picture, nearest pictures first."""
    half = len(channels) // 2
    parts = [normalize(part, dim=1) / half**0.5 for part in torch.split(maps, channels, dim=1)]
    chosen = np.sort(np.random.default_rng(seed).permutation(len(maps))[:references])
    kept = max(3, int(max(SHARES) * len(chosen)) + 1)
    logs = torch.zeros(len(maps), maps.shape[2] * maps.shape[3], kept)
    for source in (torch.cat(parts[:half], 1), torch.cat(parts[half:], 1)):
        vectors = source.flatten(2).transpose(1, 2).contiguous()
        memory = vectors[torch.from_numpy(chosen)]
        for number, picture in enumerate(vectors):
            nearest = 1 - (picture @ memory.flatten(0, 1).T).reshape(len(picture), len(memory), -1).amax(2)
            nearest[:, torch.from_numpy(chosen == number)] = 9
            logs[number] += nearest.clamp_min(1e-6).log().sort(1).values[:, :kept] / 2
    return logs


def rarity(logs: Tensor, size: tuple[int, int], kind: str, share: float, references: int) -> NDArray[np.float64]:
    """Errors (N, K + 1) by the verdict's rule of log distances (N, P, k)."""
    rank = max(1, -(-int(share * references * 100) // 100))
    log = logs[..., rank - 1] if kind == "at" else logs[..., :rank].mean(-1)
    places = split(log.exp().reshape(len(log), 1, *size), 3).flatten(2)
    tiles = places.topk(max(1, round(0.05 * places.shape[2])), 2).values.mean(2)
    return torch.cat([tiles.mean(1, keepdim=True), tiles], 1).numpy().astype(np.float64)
