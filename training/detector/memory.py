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


def memories(network: Network) -> int:
    """Count the kinds of vectors that are remembered: those of `place_vectors`."""
    return 2 if network.settings.encoder.whole else 1


def unit_vectors(network: Network, maps: Tensor) -> list[Tensor]:
    """Vectors (N, C, h, w) of each source's places in standardised maps: their products are the stages' mean cosine."""
    return [_unit(stages) for stages in _by_source(network, maps)]


def place_vectors(network: Network, maps: Tensor) -> list[Tensor]:
    """Vectors (N, C, h, w) of places in standardised maps, one a memory, to be told apart by their squared distance.

    Unit vectors of the first source: how strong a tile's maps are depends on where its border cuts the part. Then,
    where it is seen, the whole picture's as they are, each stage's channels weighing as much as another's.
    """
    sources = _by_source(network, maps)
    vectors = [_unit(sources[0])]
    if network.settings.encoder.whole:
        vectors.append(_stacked([stage / math.sqrt(stage.shape[1]) for stage in sources[-1]]))
    return vectors


def _by_source(network: Network, maps: Tensor) -> list[Sequence[Tensor]]:
    stages = torch.split(network.judged(maps), network.feature_channels, dim=1)
    each = len(stages) // network.sources
    return [stages[first : first + each] for first in range(0, len(stages), each)]


def _unit(stages: Sequence[Tensor]) -> Tensor:
    return _stacked([normalize(stage, dim=1) for stage in stages])


def _stacked(stages: Sequence[Tensor]) -> Tensor:
    """Stack the stages of a source, so that products and squared distances are the means of those of the stages."""
    return torch.cat(list(stages), dim=1) / math.sqrt(len(stages))


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
    """Choose `places` places for each memory, as many of each of the `groups` of pictures: (memories, groups, P, C).

    Of few pictures all places are kept; what a group then lacks is `FAR` from everything, as all is of one without
    pictures. Chosen is greedily what is farthest from what is chosen (k-center), as PatchCore does (Roth et al. 2022):
    a place that is rare among good parts is remembered as well as a common one.
    """
    generator = torch.Generator().manual_seed(seed)
    channels = sum(network.feature_channels) // network.sources
    projection = torch.randn(channels, PROJECTED, generator=generator) / math.sqrt(PROJECTED)
    height, width = network.map_size
    of_largest = max(map(len, groups)) * network.settings.grid**2 * height * width
    count = min(places // len(groups), of_largest)
    memory = torch.full((memories(network), len(groups), count, channels), FAR, device=network.feature_mean.device)
    for number, group in enumerate(groups):
        if not len(group):
            continue
        # All places of many pictures are more than memory holds: read once to choose, and again to take.
        batches = ([rows @ projection.to(rows) for rows in batch] for batch in _rows(network, dataset, group))
        points = [torch.cat(parts).cpu() for parts in zip(*batches, strict=True)]
        chosen, first = [k_center(each, min(count, len(each)), generator) for each in points], 0
        for batch in _rows(network, dataset, group):
            for kind, rows in enumerate(batch):
                inside = (chosen[kind] >= first) & (chosen[kind] < first + len(rows))
                memory[kind, number, : len(inside)][inside] = rows[chosen[kind][inside] - first]
            first += len(batch[0])
    return memory


def _rows(network: Network, dataset: TrainingSet, pictures: NDArray[np.int64]) -> Iterator[list[Tensor]]:
    """Batches of the pictures' places (B * h * w, C), by memory."""
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
