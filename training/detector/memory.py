"""A memory of places that good pictures show. What is far from all of them is odd, however well it is rebuilt."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import conv2d, normalize

from training.fitting.training_set import TrainingSet
from training.network.network import Network

PROJECTED = 64
"""Dimensions in which places are chosen: distances between random projections are nearly those of the vectors."""
LEAST = 1e-3
"""What is nearer to a place in memory does not differ: low precision would see less in it than its own rounding."""
FAR = 1e3
"""In every dimension of a place that is none, where a group's pictures have fewer places than another's."""
_BLOCK = 4096
_FARTHEST = 16384


def unit_vectors(network: Network, maps: Tensor) -> list[Tensor]:
    """Vectors (N, C, h, w) of each source's places in standardised maps: their products are the stages' mean cosine."""
    return [
        torch.cat([normalize(stage, dim=1) for stage in stages], dim=1) / math.sqrt(len(stages))
        for stages in network.by_source(maps)
    ]


def place_vectors(network: Network, maps: Tensor) -> list[Tensor]:
    """Vectors (N, C, h, w) of places in standardised maps, one a stage, to be told apart by their squared distance.

    Unit vectors of the tiles' stages: how strong a tile's maps are depends on where its border cuts the part. Then,
    where it is seen, the whole picture's as they are, brought to the mean of a stage's channels.
    """
    tiles, *whole = network.by_source(maps)
    as_they_are = [stage / math.sqrt(stage.shape[1]) for stages in whole for stage in stages]
    return [normalize(stage, dim=1) for stage in tiles] + as_they_are


def nearest(vectors: Tensor, memory: Tensor) -> Tensor:
    """Squared distances (groups, N, h, w) of vectors (N, C, h, w) to the nearest of each group (groups, P, C).

    As a 1x1 convolution, since TensorRT for RTX has no float32 matrix product on Turing (SM75).
    """
    places = memory.flatten(0, 1)
    products = conv2d(vectors, 2 * places[:, :, None, None], -places.square().sum(dim=1))
    most_alike = torch.stack([part.amax(dim=1) for part in products.chunk(len(memory), dim=1)])
    return (vectors.square().sum(dim=1) - most_alike).clamp_min(LEAST)


@torch.inference_mode()
def remember(
    network: Network, dataset: TrainingSet, groups: Sequence[NDArray[np.int64]], places: int, seed: int
) -> Tensor:
    """Choose `places` places of each stage, as many of each of the `groups` of pictures: (groups, P, C).

    C are the maps' channels, stage after stage, and each stage's places are chosen by themselves: what one line holds
    of two stages comes from two places. Of few pictures all places are kept; what a group then lacks is `FAR` from
    everything, as all is of one without pictures. Chosen is greedily what is farthest from what is chosen (k-center),
    as PatchCore does (Roth et al. 2022): a place that is rare among good parts is remembered as well as a common one.
    """
    generator = torch.Generator().manual_seed(seed)
    channels = network.tile_channels + network.whole_channels
    projections = [torch.randn(each, PROJECTED, generator=generator) / math.sqrt(PROJECTED) for each in channels]
    height, width = network.map_size
    of_largest = max(map(len, groups)) * network.settings.grid**2 * height * width
    count = min(places // len(groups), of_largest)
    memory = torch.full((len(groups), count, sum(channels)), FAR, device=network.feature_mean.device)
    for number, group in enumerate(groups):
        if not len(group):
            continue
        of_stages = torch.split(memory[number], channels, dim=1)
        # All places of many pictures are more than memory holds: read once to choose, and again to take.
        batches = (
            [rows @ projection.to(rows) for rows, projection in zip(batch, projections, strict=True)]
            for batch in _rows(network, dataset, group)
        )
        points = [torch.cat(parts).cpu() for parts in zip(*batches, strict=True)]
        chosen, first = [k_center(each, min(count, len(each)), generator) for each in points], 0
        for batch in _rows(network, dataset, group):
            for rows, indices, kept in zip(batch, chosen, of_stages, strict=True):
                inside = (indices >= first) & (indices < first + len(rows))
                kept[: len(inside)][inside] = rows[indices[inside] - first]
            first += len(batch[0])
    return memory


def _rows(network: Network, dataset: TrainingSet, pictures: NDArray[np.int64]) -> Iterator[list[Tensor]]:
    """Batches of the pictures' places (B * h * w, C), by stage."""
    for _, maps in dataset.batches(pictures):
        yield [vectors.permute(0, 2, 3, 1).flatten(0, 2) for vectors in place_vectors(network, maps)]


def k_center(points: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Choose `count` of points (N, d) greedily, each the farthest from those chosen before; indices (count,).

    A distance to the nearest chosen point only falls, so one from an earlier round is an upper bound: among the places
    that were farthest then, the next ones are found without the others, until one of those could be farther.
    """
    chosen = [int(torch.randint(len(points), (1,), generator=generator))]
    nearest = torch.full((len(points),), torch.inf)
    norms = points.square().sum(dim=1)
    lowered = 0
    while len(chosen) < count:
        for start in range(0, len(points), _BLOCK):
            block = slice(start, start + _BLOCK)
            distances = norms[block, None] - 2 * points[block] @ points[chosen[lowered:]].T + norms[chosen[lowered:]]
            nearest[block] = torch.minimum(nearest[block], distances.amin(dim=1))
        lowered = len(chosen)
        bounds, farthest = nearest.topk(min(len(points), _FARTHEST))
        others = bounds[-1] if len(farthest) < len(points) else bounds.new_tensor(-torch.inf)
        near, near_norms = points[farthest], norms[farthest]
        while len(chosen) < count and (len(chosen) == lowered or bounds.max() >= others):
            best = int(bounds.argmax())
            chosen.append(int(farthest[best]))
            bounds = torch.minimum(bounds, near_norms - 2 * near @ near[best] + near_norms[best])
    return torch.tensor(chosen)
