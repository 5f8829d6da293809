"""The P-WAE network: a context-free encoder, one latent a tile, a jigsaw head, and one decoder over the whole grid."""

from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from training.network.encoder import Encoder, load_weights
from training.network.resize import resize
from training.network.tiles import merge, permutation_set, shuffle, split
from training.settings import NetworkSettings


def new_network(settings: NetworkSettings, members: int, seed: int) -> "Network":
    """Give a network with its pretrained encoder and untrained members; raises what `load_weights` raises."""
    network = Network(settings, permutation_set(settings.grid**2, settings.permutations, seed), members)
    if settings.encoder.weights:
        load_weights(network.encoder, settings.encoder.weights)
    return network


@dataclass(frozen=True)
class Rebuilt:
    """What one pass gives. Latents are back in their places; the logits saw them in the order of the puzzle."""

    latents: Tensor
    """(N, K, C_z, h, w)."""
    pixels: Tensor
    """(N, 3, H, W) RGB in [0, 1], of as many of the first images as were asked for."""
    features: Tensor
    """(N, C, n*h, n*w), as `Network.judged` gives them, the stages one after the other."""
    logits: Tensor | None
    """(N, S), one a permutation; None where no puzzle was set."""
    log_variances: Tensor | None
    """(N, K, C_z, h, w) of a variational network, whose `latents` are the means; None of any other."""


class Network(nn.Module):
    """f_phi, and one or more members that each have an h_j and an f_theta of their own.

    Works in two steps, so that a frozen encoder's maps are computed once, for all members.
    """

    feature_mean: Tensor
    feature_std: Tensor
    permutations: Tensor
    red_first: Tensor

    def __init__(self, settings: NetworkSettings, permutations: Tensor, members: int = 1) -> None:
        super().__init__()
        self.settings = settings
        encoder = settings.encoder
        self.encoder = Encoder(encoder.name, max(encoder.stages + encoder.of_tiles))
        if encoder.frozen:
            self.encoder.requires_grad_(False)
        self.sources = 2 if encoder.whole and not encoder.tile_stages else 1
        """Of the maps that are judged: the tiles, the whole picture, or both."""
        self.feature_channels = [self.encoder.channels[stage - 1] for stage in encoder.stages] * self.sources
        self.seen_channels = sum(self.encoder.channels[stage - 1] for stage in encoder.of_tiles)
        judged = sum(self.feature_channels)
        channels = self.seen_channels + judged if encoder.tile_stages else judged
        self.register_buffer("feature_mean", torch.zeros(channels, 1, 1))
        self.register_buffer("feature_std", torch.ones(channels, 1, 1))
        self.register_buffer("permutations", permutations)
        # Where the frames are: a list would be copied to the GPU at each step, which waits for it.
        self.register_buffer("red_first", torch.tensor([2, 1, 0]), persistent=False)
        self.members = nn.ModuleList(
            Member(settings, self.seen_channels, judged, self.map_size, len(permutations)) for _ in range(members)
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def tile_size(self) -> tuple[int, int]:
        """Height and width in pixels of a tile as it is encoded."""
        scale = self.settings.tile_scale / self.settings.grid
        return round(self.settings.height * scale), round(self.settings.width * scale)

    @property
    def map_size(self) -> tuple[int, int]:
        """Height and width (h, w) in places of a tile's stacked maps, hence of its latent."""
        height, width = self.tile_size
        return -(-height // self.settings.encoder.stride), -(-width // self.settings.encoder.stride)

    def images(self, frames_bgr_u8: Tensor) -> Tensor:
        """Turn uint8 (N, H, W, 3) BGR frames into RGB images (N, 3, H, W) float32.

        In [0, 1]; equalised ones have mean 0.45 and standard deviation 0.2 and may reach beyond.
        """
        images = self._rgb(frames_bgr_u8)
        if self.settings.equalise:
            mean, contrast = mean_and_contrast(images)
            images = (images - mean) / contrast * 0.2 + 0.45
        return images

    def as_filmed(self, images: Tensor, frames_bgr_u8: Tensor) -> Tensor:
        """Give images (N, 3, H, W) the brightness of the frames they were rebuilt from: the inverse of `images`."""
        if not self.settings.equalise:
            return images
        mean, contrast = mean_and_contrast(self._rgb(frames_bgr_u8))
        return ((images - 0.45) / 0.2 * contrast + mean).clamp(0, 1)

    def halve(self) -> "Network":
        """Compute in float16 from here on; normalisation, standardised maps and outputs stay float32."""
        for part in (self.encoder.network, self.members):
            part.half()
        return self

    def train(self, mode: bool = True) -> "Network":
        """Switch modes; a frozen encoder stays in evaluation mode, its batch statistics those of its training."""
        super().train(mode)
        if self.settings.encoder.frozen:
            self.encoder.eval()
        return self

    def maps(self, images: Tensor) -> Tensor:
        """Encode images (N, 3, H, W) to standardised maps (N, C, n*h, n*w).

        The tiles' come first, each encoded alone and laid out on the grid, from which a member takes its latents; then
        those of the whole picture.
        """
        return self.standardised(self.raw_maps(images))

    def judged(self, maps: Tensor) -> Tensor:
        """Of maps (N, C, n*h, n*w) those that a member rebuilds, with `feature_channels` from stage to stage."""
        return maps[:, -sum(self.feature_channels) :]

    def standardised(self, raw: Tensor) -> Tensor:
        """Bring raw maps (N, C, n*h, n*w) to mean 0 and deviation 1 over the training pictures."""
        return (raw.float() - self.feature_mean) / self.feature_std

    def raw_maps(self, images: Tensor) -> Tensor:
        """Encode images (N, 3, H, W) to the encoder's own maps (N, C, n*h, n*w), all tiles as one batch."""
        grid, (height, width) = self.settings.grid, self.map_size
        tile_height, tile_width = self.tile_size
        tiles = split(resize(images, grid * tile_height, grid * tile_width), grid)
        encoder = self.settings.encoder
        stacked = self._stacked(tiles.flatten(0, 1), encoder.of_tiles, height, width)
        sources = [merge(stacked.reshape(*tiles.shape[:2], *stacked.shape[1:]))]
        if encoder.whole:
            sources.append(self._stacked(images, encoder.stages, grid * height, grid * width))
        return torch.cat(sources, dim=1)

    def _rgb(self, frames_bgr_u8: Tensor) -> Tensor:
        # Cast before the permutation: TensorRT's parser refuses a uint8 transpose.
        return frames_bgr_u8.float().permute(0, 3, 1, 2).index_select(1, self.red_first) / 255

    def _stacked(self, images: Tensor, stages: tuple[int, ...], height: int, width: int) -> Tensor:
        maps = self.encoder(images, max(stages))
        return torch.cat([resize(maps[stage - 1], height, width) for stage in stages], dim=1)

    def forward(
        self, maps: Tensor, permutation: Tensor | None = None, pixel_images: int | None = None, member: int = 0
    ) -> Rebuilt:
        """Rebuild the judged of maps (N, C, n*h, n*w) from the latents of their tiles.

        `permutation` (N,) picks the puzzle's order, None sets none. Pixels are rebuilt of the first `pixel_images`,
        None for all. The latents come from the tiles' maps alone. A context-free encoder gives shuffled tiles the same
        latents as tiles in place, so the latents are shuffled, for the jigsaw head.
        """
        chosen = cast(Member, self.members[member])
        encoded = chosen.to_latent(maps[:, : self.seen_channels].to(chosen.to_latent.weight.dtype))
        means, log_variances = encoded.chunk(2, dim=1) if self.settings.variational else (encoded, None)
        latents = split(means, self.settings.grid)
        logits = None
        if permutation is not None:
            logits = chosen.jigsaw_head(shuffle(latents, self.permutations[permutation]).flatten(1))
        drawn = means
        if log_variances is not None and self.training:
            drawn = means + torch.randn_like(means) * (log_variances / 2).exp()
        pixels, rebuilt = chosen.decoder(drawn, pixel_images)
        spreads = None if log_variances is None else split(log_variances, self.settings.grid)
        return Rebuilt(latents, pixels, rebuilt, logits, spreads)


class Member(nn.Module):
    """What is trained on a frozen encoder's maps: the latent's projection, the jigsaw head h_j, the decoder f_theta."""

    def __init__(
        self, settings: NetworkSettings, seen: int, channels: int, map_size: tuple[int, int], puzzles: int
    ) -> None:
        super().__init__()
        height, width = map_size
        self.to_latent = nn.Conv2d(seen, settings.latent_channels * (2 if settings.variational else 1), 1)
        dimensions = settings.latent_channels * height * width
        self.jigsaw_head = nn.Linear(settings.grid**2 * dimensions, puzzles)
        self.decoder = Decoder(settings, channels, (settings.grid * height, settings.grid * width))


class Decoder(nn.Module):
    """f_theta over the whole grid, so that it sees across tile borders.

    A trunk at the latent's resolution, from which one head rebuilds the encoder's maps, and Upsample-Conv-BN-ReLU
    blocks rebuild the pixels.
    """

    def __init__(self, settings: NetworkSettings, channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        width = settings.decoder_channels
        ins = [settings.latent_channels, *[width] * settings.decoder_depth]
        self.trunk = nn.Sequential(*[_block(i, width) for i in ins[: settings.decoder_depth]])
        self.to_features = nn.Conv2d(width, channels, 1)
        self.sizes = _sizes_up_to((settings.height, settings.width), size)
        widths = [max(width >> level, 16) for level in range(len(self.sizes) + 1)]
        self.up = nn.ModuleList(_block(i, o) for i, o in pairwise(widths))
        self.to_pixels = nn.Conv2d(widths[-1], 3, 3, padding=1)

    def forward(self, latents: Tensor, pixel_images: int | None = None) -> tuple[Tensor, Tensor]:
        """Decode (N, C_z, n*h, n*w) to pixels (N, 3, H, W) in [0, 1] and features (N, C, n*h, n*w)."""
        trunk = self.trunk(latents)
        x = trunk[:pixel_images]
        for size, block in zip(self.sizes, self.up, strict=True):
            x = block(interpolate(x, size=size, mode="nearest"))
        return self.to_pixels(x).float().sigmoid(), self.to_features(trunk).float()


def mean_and_contrast(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and contrast (N, 1, 1, 1) of images; an even picture is not blown up to noise."""
    mean = _mean(images)
    return mean, _mean((images - mean).square()).sqrt() + 0.02


def _mean(images: Tensor) -> Tensor:
    """Mean (N, 1, 1, 1), dimension by dimension: ONNX Runtime adds up in float32, which loses much of a large sum."""
    return images.mean(dim=3, keepdim=True).mean(dim=2, keepdim=True).mean(dim=1, keepdim=True)


def _block(channels: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True))


def _sizes_up_to(target: tuple[int, int], start: tuple[int, int]) -> list[tuple[int, int]]:
    """Sizes of the upsampling steps: the target halved until the start is near, in rising order."""
    sizes = [target]
    while sizes[0][0] > 2 * start[0] or sizes[0][1] > 2 * start[1]:
        sizes.insert(0, (max(-(-sizes[0][0] // 2), start[0]), max(-(-sizes[0][1] // 2), start[1])))
    return sizes
