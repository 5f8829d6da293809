"""The controls: PatchCore (Roth et al. 2022) on the whole picture's maps, of the recipe's encoder or of a ResNet-18.

A memory of a tenth of the good pictures' places, chosen by greedy k-center on a random projection, as PatchCore does; a
picture's score is the distance of its worst place to the nearest place in memory. Nothing is trained.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from core.datasets.frames import Frames
from training.detector.memory import PROJECTED, k_center
from training.network.encoder import Encoder, load_weights
from training.network.network import Network

SHARE = 0.1
_BATCH = 16


@torch.inference_mode()
def patchcore_scores(network: Network, good: Frames, tested: Frames, seed: int) -> NDArray[np.float64]:
    """Scores (N,) of the tested pictures. `network` has maps of the whole picture, standardised by the good ones."""
    network.eval()
    return _scores(_places(network, good.bgr_u8), _places(network, tested.bgr_u8), seed)


@torch.inference_mode()
def resnet18_scores(weights: Path, good: Frames, tested: Frames, seed: int) -> NDArray[np.float64]:
    """Scores (N,) of the tested pictures, on stages 2 and 3 at stride 8, each place the mean of 3 x 3."""
    encoder = Encoder("resnet18", 3).eval()
    load_weights(encoder, str(weights))
    return _scores(_resnet18_places(encoder, good.bgr_u8), _resnet18_places(encoder, tested.bgr_u8), seed)


def _scores(good: Tensor, tested: Tensor, seed: int) -> NDArray[np.float64]:
    """Scores (N,) of tested vectors (N, places, C) against a memory of the good ones'."""
    places = good.flatten(0, 1)
    generator = torch.Generator().manual_seed(seed)
    projection = torch.randn(places.shape[1], PROJECTED, generator=generator) / PROJECTED**0.5
    memory = places[k_center(places @ projection, round(SHARE * len(places)), generator)]
    nearest = [torch.cdist(part, memory).amin(dim=1).max() for part in tested]
    return torch.stack(nearest).double().numpy()


def _resnet18_places(encoder: Encoder, frames_bgr_u8: NDArray[np.uint8]) -> Tensor:
    """Vectors (N, places, 384) of frames."""
    found = []
    for batch in torch.split(torch.from_numpy(frames_bgr_u8), _BATCH):
        fine, coarse = (
            avg_pool2d(maps, 3, 1, 1, count_include_pad=False)
            for maps in encoder(batch.permute(0, 3, 1, 2).flip(1) / 255)[1:]
        )
        coarse = interpolate(coarse, fine.shape[2:], mode="bilinear")
        found.append(torch.cat([fine, coarse], dim=1).flatten(2).transpose(1, 2))
    return torch.cat(found)


def _places(network: Network, frames_bgr_u8: NDArray[np.uint8]) -> Tensor:
    """Vectors (N, places, C) of the whole picture's maps."""
    frames = torch.from_numpy(frames_bgr_u8)
    batches = (network.maps(network.images(frames[start : start + _BATCH])) for start in range(0, len(frames), _BATCH))
    return torch.cat([maps[:, network.seen_channels :] for maps in batches]).flatten(2).transpose(1, 2)
