"""The control: PatchCore (Roth et al. 2022) on the recipe's own encoder and maps of the whole picture, no training.

A memory of a tenth of the good pictures' places, chosen by greedy k-center on a random projection, as PatchCore does; a
picture's score is the distance of its worst place to the nearest place in memory.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.dataset import Frames
from training.network import Network

SHARE = 0.1
PROJECTED = 64
_BATCH = 16


@torch.inference_mode()
def patchcore_scores(network: Network, good: Frames, tested: Frames, seed: int) -> NDArray[np.float64]:
    """Scores (N,) of the tested pictures. `network` has maps of the whole picture, standardised by the good ones."""
    network.eval()
    places = _places(network, good.bgr_u8).flatten(0, 1)
    generator = torch.Generator().manual_seed(seed)
    projection = torch.randn(places.shape[1], PROJECTED, generator=generator) / PROJECTED**0.5
    memory = places[k_center(places @ projection, round(SHARE * len(places)), generator)]
    nearest = [torch.cdist(part, memory).amin(dim=1).max() for part in _places(network, tested.bgr_u8)]
    return torch.stack(nearest).double().numpy()


def k_center(points: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Choose `count` of points (N, d) greedily, each the farthest from those chosen before; indices (count,)."""
    chosen = [int(torch.randint(len(points), (1,), generator=generator))]
    nearest = torch.full((len(points),), torch.inf)
    norms = points.square().sum(dim=1)
    while len(chosen) < count:
        centre = points[chosen[-1]]
        nearest = torch.minimum(nearest, norms - 2 * points @ centre + centre.square().sum())
        chosen.append(int(nearest.argmax()))
    return torch.tensor(chosen)


def _places(network: Network, frames_bgr_u8: NDArray[np.uint8]) -> Tensor:
    """Vectors (N, places, C) of the whole picture's maps."""
    frames = torch.from_numpy(frames_bgr_u8)
    batches = (network.maps(network.images(frames[start : start + _BATCH])) for start in range(0, len(frames), _BATCH))
    return torch.cat([maps.chunk(2, dim=1)[1] for maps in batches]).flatten(2).transpose(1, 2)
