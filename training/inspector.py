"""The one graph: frames as a camera gives them in, errors out (Eq. 22, 23). Training, ONNX and TensorRT share it."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.progress import counted
from training.distance import stage_distances
from training.network import Network
from training.settings import ScoreSettings
from training.tiles import merge, split

_BATCH = 16


@dataclass(frozen=True)
class Inspection:
    """What the graph says of N frames."""

    errors: Tensor
    """(N, K + 1) float32: e_0 of the image, e_1..e_K of its tiles."""
    error_map: Tensor
    """(N, h, w) float32 at the map's own resolution."""
    pixels: Tensor
    """(N, 3, H, W) the reconstruction, RGB in [0, 1]; empty where it was not asked for."""


class Inspector(nn.Module):
    """A trained network in evaluation mode with its score. Nothing is shuffled here, ever."""

    stage_scale: Tensor

    def __init__(self, network: Network, score: ScoreSettings) -> None:
        super().__init__()
        self.network = network
        self.score = score
        stages = 1 if score.space == "pixels" else len(network.feature_channels)
        self.register_buffer("stage_scale", torch.ones(stages, 1, 1))
        self.eval()

    def forward(self, frames_bgr_u8: Tensor) -> tuple[Tensor, Tensor]:
        """Errors (N, K + 1) and error map (N, h, w) of uint8 (N, H, W, 3) frames."""
        inspection = self.inspect(frames_bgr_u8, pixels=self.score.space == "pixels")
        return inspection.errors, inspection.error_map

    def inspect(self, frames_bgr_u8: Tensor, pixels: bool = True) -> Inspection:
        """Errors, error map and reconstruction of uint8 (N, H, W, 3) frames."""
        images = self.network.images(frames_bgr_u8)
        features = self.network.features(images)
        rebuilt = self.network(features, pixel_images=None if pixels else 0)
        if self.score.space == "pixels":
            stage_maps = (rebuilt.pixels - images.clamp(0, 1)).square().mean(dim=1, keepdim=True)
        else:
            channels = self.network.feature_channels
            stage_maps = stage_distances(rebuilt.features, merge(features), channels, self.score.distance)
        error_map = (stage_maps / self.stage_scale).mean(dim=1)
        places = split(error_map[:, None], self.network.settings.grid).flatten(2)
        if self.score.worst_share < 1:
            places = places.topk(max(1, round(self.score.worst_share * places.shape[2])), dim=2).values
        tiles = places.mean(dim=2)
        errors = torch.cat([tiles.mean(dim=1, keepdim=True), tiles], dim=1)
        return Inspection(errors, error_map, rebuilt.pixels)


@torch.inference_mode()
def judge(inspector: Inspector, frames_bgr_u8: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Errors (N, K + 1) and error maps (N, h, w) of N frames, batch by batch with a progress bar."""
    batches = [
        inspector(torch.from_numpy(frames_bgr_u8[start : start + _BATCH]).to(inspector.stage_scale.device))
        for start in counted(range(0, len(frames_bgr_u8), _BATCH), "judging")
    ]
    errors, maps = zip(*batches, strict=True)
    return torch.cat(errors).cpu().numpy(), torch.cat(maps).cpu().numpy()


@torch.inference_mode()
def set_stage_scale(inspector: Inspector, frames_bgr_u8: NDArray[np.uint8]) -> None:
    """Divide each stage's error by its mean over good frames (N, H, W, 3), other than those that set the thresholds."""
    if len(inspector.stage_scale) == 1:
        return
    network = inspector.network
    means = []
    for start in counted(range(0, len(frames_bgr_u8), _BATCH), "scaling"):
        frames = torch.from_numpy(frames_bgr_u8[start : start + _BATCH]).to(inspector.stage_scale.device)
        features = network.features(network.images(frames))
        rebuilt, target = network(features, pixel_images=0).features, merge(features)
        distances = stage_distances(rebuilt, target, network.feature_channels, inspector.score.distance)
        means.append(distances.mean(dim=(2, 3)))
    inspector.stage_scale.copy_(torch.cat(means).mean(dim=0)[:, None, None])
