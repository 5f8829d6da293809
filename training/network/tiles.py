"""Tiles and their permutations: how an image is cut on a grid, shuffled, put back, and which shuffles are used.

Tile k is row-major on an n x n grid; K = n * n.
"""

import math

import numpy as np
import torch
from torch import Tensor


def split(images: Tensor, grid: int) -> Tensor:
    """Cut (N, C, H, W) into tiles (N, K, C, H/n, W/n). H and W are divisible by `grid`."""
    n, c, height, width = images.shape
    tiles = images.reshape(n, c, grid, height // grid, grid, width // grid)
    return tiles.permute(0, 2, 4, 1, 3, 5).reshape(n, grid * grid, c, height // grid, width // grid)


def merge(tiles: Tensor) -> Tensor:
    """Lay tiles (N, K, C, h, w) out on their grid as (N, C, n*h, n*w): the inverse of `split`."""
    n, k, c, height, width = tiles.shape
    grid = math.isqrt(k)
    images = tiles.reshape(n, grid, grid, c, height, width).permute(0, 3, 1, 4, 2, 5)
    return images.reshape(n, c, grid * height, grid * width)


def shuffle(tiles: Tensor, order: Tensor) -> Tensor:
    """Reorder tiles (N, K, ...) so that place i shows tile order[:, i]; `order` is (N, K) int64."""
    return tiles[torch.arange(len(tiles), device=tiles.device)[:, None], order]


def permutation_set(tiles: int, count: int, seed: int) -> Tensor:
    """Choose min(count, tiles!) distinct permutations far apart in Hamming distance, (S, K) int64.

    Greedy farthest-point choice (Noroozi & Favaro 2016) over a seeded random pool; the identity comes first.
    """
    rng = np.random.default_rng(seed)
    count = min(count, math.factorial(min(tiles, 12)))
    pool = _candidates(tiles, count, rng)
    chosen = [0]
    nearest = (pool != pool[0]).sum(axis=1)
    while len(chosen) < count:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, (pool != pool[chosen[-1]]).sum(axis=1))
    return torch.from_numpy(pool[chosen].astype(np.int64))


def _candidates(tiles: int, count: int, rng: np.random.Generator) -> "np.ndarray[tuple[int, int], np.dtype[np.int8]]":
    """Distinct permutations, the identity first: every one where they are few, else a random pool of 20 a choice."""
    wanted = min(20 * count, math.factorial(min(tiles, 12)))
    pool = np.arange(tiles, dtype=np.int8)[None]
    while len(pool) < wanted:
        fresh = rng.permuted(np.tile(pool[0], (2 * wanted, 1)), axis=1)
        stacked = np.concatenate([pool, fresh])
        _, first = np.unique(stacked, axis=0, return_index=True)
        pool = stacked[np.sort(first)][:wanted]
    return pool
