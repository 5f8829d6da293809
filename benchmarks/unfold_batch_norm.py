"""Give an encoder whose weights have batch norm folded away its batch norms back, so that it can be trained through.

    python benchmarks/unfold_batch_norm.py CONFIG OUTPUT

Such weights are loaded as batch norms that only add a bias. That serves a frozen encoder; one that trains would
normalise each convolution's output by the batch's statistics and lose what it was pretrained for. Here one batch of the
training pictures' own tiles sets each batch norm's statistics, and its scale and shift so that nothing changes: with
them the encoder gives the same maps, in training as in evaluation. OUTPUT is a state dict with torchvision's names, for
`encoder.weights`.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn

from core.config import load_settings
from core.datasets.dataset import spread, training_samples
from core.datasets.frames import read_frames
from training.network.encoder import Encoder, load_weights
from training.network.tiles import split
from training.settings import TrainingSettings

PICTURES = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="training configuration; its `encoder.weights` are the folded ones")
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    settings = load_settings(arguments.config, TrainingSettings)
    network = settings.network
    encoder = Encoder(network.encoder.name, max(network.encoder.stages))
    load_weights(encoder, str(network.encoder.weights))
    samples = spread(training_samples(settings.data), PICTURES)
    frames = read_frames(samples, network.input).bgr_u8
    images = torch.from_numpy(frames).permute(0, 3, 1, 2).flip(1) / 255
    unfold(encoder, split(images, network.grid).flatten(0, 1))
    torch.save(encoder.network.state_dict(), arguments.output)


@torch.no_grad()
def unfold(encoder: Encoder, tiles: Tensor) -> None:
    """Set the statistics of every batch norm to those of `tiles` (M, 3, h, w), RGB in [0, 1]; the maps stay."""
    before = encoder.eval()(tiles)
    norms = [module for module in encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(_take_statistics) for norm in norms]
    encoder(tiles)
    for hook in hooks:
        hook.remove()
    for mode in (True, False):
        for was, now in zip(before, encoder.train(mode)(tiles), strict=True):
            torch.testing.assert_close(now, was, rtol=1e-2, atol=1e-2)
    for norm in norms:  # the check above moved them by its own batch, the same one
        assert isinstance(norm.num_batches_tracked, Tensor)
        norm.num_batches_tracked.zero_()


def _take_statistics(norm: nn.Module, inputs: tuple[Tensor]) -> None:
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    variance, mean = torch.var_mean(inputs[0], dim=(0, 2, 3), correction=0)
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    norm.bias.add_(scale * (mean - norm.running_mean))
    norm.weight.copy_(scale * (variance + norm.eps).sqrt())
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)


if __name__ == "__main__":
    main()
