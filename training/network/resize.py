"""Resizing maps inside the graph: areas when shrinking, linear when growing."""

import torch
from torch import Tensor
from torch.nn.functional import conv2d


def resize(x: Tensor, height: int, width: int) -> Tensor:
    """Resize maps (N, C, H, W) by weighing rows, then columns: any ratio of sizes exports to ONNX.

    As 1x1 convolutions, since TensorRT for RTX has no float32 matrix product on Turing (SM75).
    """
    if x.shape[2:] == (height, width):
        return x
    rows, columns = _resize_weights(x.shape[2], height).to(x), _resize_weights(x.shape[3], width).to(x)
    by_row = conv2d(x.permute(0, 2, 1, 3), rows[:, :, None, None])
    return conv2d(by_row.permute(0, 3, 2, 1), columns[:, :, None, None]).permute(0, 2, 3, 1)


def _resize_weights(source: int, target: int) -> Tensor:
    """Row i of (target, source) weighs the sources of target pixel i: areas when shrinking, linear when growing."""
    pixels = torch.arange(source, dtype=torch.float64)
    if target > source:
        centres = ((torch.arange(target, dtype=torch.float64) + 0.5) * source / target - 0.5).clamp(0, source - 1)
        return (1 - (centres[:, None] - pixels).abs()).clamp_min(0).float()
    edges = torch.arange(target + 1, dtype=torch.float64) * source / target
    overlap = torch.minimum(edges[1:, None], pixels + 1) - torch.maximum(edges[:-1, None], pixels)
    return (overlap.clamp_min(0) * target / source).float()
