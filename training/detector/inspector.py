"""The one graph: frames as a camera gives them in, errors out (Eq. 22, 23). Training, ONNX and TensorRT share it."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.progress import counted
from training.detector.memory import memories, nearest, place_vectors
from training.device import choose_device
from training.network.distance import stage_distances
from training.network.network import Network, new_network
from training.network.tiles import split
from training.settings import ScoreSettings, TrainingSettings

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
    memory: Tensor

    def __init__(self, network: Network, score: ScoreSettings) -> None:
        super().__init__()
        self.network = network
        self.score = score
        self.explanations = [1]
        """Stages of each explanation: every source rebuilt, and every memory."""
        if score.space == "features":
            stages = len(network.feature_channels) // network.sources
            self.explanations = [stages] * network.sources + [1] * (memories(network) if score.memory else 0)
        self.register_buffer("stage_scale", torch.ones(sum(self.explanations), 1, 1))
        seen = sum(network.feature_channels) // network.sources
        memory = torch.zeros(memories(network), len(network.members), 1, seen) if score.memory else None
        self.register_buffer("memory", memory)
        self.eval()

    def forward(self, frames_bgr_u8: Tensor) -> tuple[Tensor, Tensor]:
        """Errors (N, K + 1) and error map (N, h, w) of uint8 (N, H, W, 3) frames."""
        inspection = self.inspect(frames_bgr_u8, pixels=self.score.space == "pixels")
        return inspection.errors, inspection.error_map

    def inspect(self, frames_bgr_u8: Tensor, pixels: bool = True) -> Inspection:
        """Errors, error map and reconstruction of uint8 (N, H, W, 3) frames. Pixels are those of the first member."""
        images = self.network.images(frames_bgr_u8)
        maps = self.network.maps(images)
        members = range(len(self.network.members))
        shown = members if self.score.space == "pixels" else members[:1]
        answers = [self.rebuilt(images, maps, member, pixels and member in shown) for member in members]
        distances = torch.stack([distance for distance, _ in answers]).mean(dim=0)
        if self.score.memory:
            distances = torch.cat([distances, self.remembered(maps).mean(dim=0)], dim=1)
        return Inspection(*self.errors(distances), answers[0][1])

    def distances(self, images: Tensor, maps: Tensor, member: int) -> Tensor:
        """Distances (N, stages, h, w) between what was seen and what one member rebuilds and remembers."""
        rebuilt, _ = self.rebuilt(images, maps, member, pixels=self.score.space == "pixels")
        return torch.cat([rebuilt, self.remembered(maps)[member]], dim=1) if self.score.memory else rebuilt

    def by_member(self, frames_bgr_u8: Tensor, member: int) -> tuple[Tensor, Tensor]:
        """Errors and error maps as `forward` gives them, by one member alone."""
        images = self.network.images(frames_bgr_u8)
        return self.errors(self.distances(images, self.network.maps(images), member))

    def rebuilt(self, images: Tensor, maps: Tensor, member: int, pixels: bool) -> tuple[Tensor, Tensor]:
        """Distances (N, stages, h, w) between what was seen and what one member rebuilt; and its pixels."""
        rebuilt = self.network(maps, pixel_images=None if pixels else 0, member=member)
        if self.score.space == "pixels":
            return (rebuilt.pixels - images.clamp(0, 1)).square().mean(dim=1, keepdim=True), rebuilt.pixels
        judged, channels = self.network.judged(maps), self.network.feature_channels
        return stage_distances(rebuilt.features, judged, channels, self.score.distance), rebuilt.pixels

    def remembered(self, maps: Tensor) -> Tensor:
        """Squared distances (members, N, memories, h, w) of places to the nearest that each member has in memory.

        A member's memory is that of the pictures that it has trained on: where there are several groups, all but the
        one of its number.
        """
        kinds = []
        for vectors, memory in zip(place_vectors(self.network, maps), self.memory, strict=True):
            far, groups = nearest(vectors, memory), range(len(memory))
            seen = [[other for other in groups if other != member] or [0] for member in groups]
            kinds.append(torch.stack([far[others].amin(dim=0) for others in seen]))
        return torch.stack(kinds, dim=2)

    def errors(self, distances: Tensor) -> tuple[Tensor, Tensor]:
        """Errors (N, K + 1) and error map (N, h, w) of distances (N, stages, h, w).

        A place's error is the mean over an explanation's stages, and the geometric mean over the explanations: what is
        rebuilt and what is remembered see different defects; none is to be drowned by another.
        """
        scaled = distances / self.stage_scale
        parts = [part.mean(dim=1) for part in torch.split(scaled, self.explanations, dim=1)]
        error_map = parts[0]
        if len(parts) > 1:
            error_map = torch.stack(parts).clamp_min(0).prod(dim=0) ** (1 / len(parts))
        return self.errors_of(error_map), error_map

    def errors_of(self, error_map: Tensor) -> Tensor:
        """Errors (N, K + 1) of error maps (N, h, w): a tile's is the mean over the worst of its places."""
        places = split(error_map[:, None], self.network.settings.grid).flatten(2)
        if self.score.worst_share < 1:
            places = places.topk(max(1, round(self.score.worst_share * places.shape[2])), dim=2).values
        tiles = places.mean(dim=2)
        return torch.cat([tiles.mean(dim=1, keepdim=True), tiles], dim=1)


def new_inspector(settings: TrainingSettings, members: int) -> Inspector:
    """Give one whose encoder is pretrained and whose members are not trained; raises what `load_weights` raises."""
    return Inspector(new_network(settings.network, members, settings.seed), settings.score)


def judge(
    inspector: Inspector,
    frames_bgr_u8: NDArray[np.uint8],
    device: torch.device | str | None = None,
    member: int | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Errors (N, K + 1) and error maps (N, h, w) of N frames, batch by batch with a progress bar.

    By one `member` alone, where it is given. Computed on `device`, left out on the GPU where there is one; afterwards
    the inspector is where it was.
    """
    was, chosen = inspector.stage_scale.device, choose_device()  # asked in any case: it keeps TF32 off
    inspector.to(device or chosen)
    try:
        return _judge(inspector, frames_bgr_u8, member)
    finally:
        inspector.to(was)


@torch.inference_mode()
def _judge(
    inspector: Inspector, frames_bgr_u8: NDArray[np.uint8], member: int | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    batches = []
    for start in counted(range(0, len(frames_bgr_u8), _BATCH), "judging"):
        frames = torch.from_numpy(frames_bgr_u8[start : start + _BATCH]).to(inspector.stage_scale.device)
        # Maps of many pictures are more than a GPU holds.
        outputs = inspector(frames) if member is None else inspector.by_member(frames, member)
        batches.append([output.cpu() for output in outputs])
    errors, maps = zip(*batches, strict=True)
    return torch.cat(errors).numpy(), torch.cat(maps).numpy()
