"""EfficientNet-Lite0 without its classifier, with the parameter names of the weights on the package index."""

from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

# A stage is (expansion, kernel, first stride, output channels, blocks).
_STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
_BN_EPS = 1e-3


class Lite0(nn.Module):
    """Stages 1..`stages` of EfficientNet-Lite0: no squeeze-and-excite, ReLU6, TensorFlow's `same` padding."""

    def __init__(self, stages: int) -> None:
        super().__init__()
        self._conv_stem = _SameConv2d(3, 32, 3, 2)
        self._bn0 = nn.BatchNorm2d(32, eps=_BN_EPS)
        self._relu = nn.ReLU6(inplace=True)
        self._blocks = nn.ModuleList()
        self.channels: list[int] = []
        self._ends: list[int] = []
        channels = 32
        for stage in _STAGES[:stages]:
            expansion, kernel, first_stride, out, blocks = stage
            for block in range(blocks):
                stride = first_stride if block == 0 else 1
                self._blocks.append(_Block(channels, expansion, kernel, stride, out))
                channels = out
            self.channels.append(channels)
            self._ends.append(len(self._blocks))

    def forward(self, x: Tensor, last: int | None = None) -> list[Tensor]:
        """Map normalised images (N, 3, H, W) to the maps of each stage (up to `last`), the finest first."""
        x = self._relu(self._bn0(self._conv_stem(x)))
        maps = []
        ends = self._ends[:last]
        for i, block in enumerate(self._blocks[: ends[-1]], 1):
            x = block(x)
            if i in ends:
                maps.append(x)
        return maps


class _SameConv2d(nn.Conv2d):
    """A convolution that pads as TensorFlow does: the odd pixel goes right and below."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, groups: int = 1) -> None:
        super().__init__(channels, out, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        spare = [max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in x.shape[-2:]]
        (top, left) = (spare[0] // 2, spare[1] // 2)
        if spare == [2 * top, 2 * left]:  # what a convolution pads itself, without a copy of the map
            return conv2d(x, self.weight, self.bias, stride, (top, left), 1, self.groups)
        return super().forward(pad(x, (left, spare[1] - left, top, spare[0] - top)))


class _Block(nn.Module):
    """Inverted residual: expand 1x1, depthwise, project 1x1."""

    def __init__(self, channels: int, expansion: int, kernel: int, stride: int, out: int) -> None:
        super().__init__()
        wide = channels * expansion
        if expansion != 1:
            self._expand_conv = nn.Conv2d(channels, wide, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(wide, eps=_BN_EPS)
        self._depthwise_conv = _SameConv2d(wide, wide, kernel, stride, groups=wide)
        self._bn1 = nn.BatchNorm2d(wide, eps=_BN_EPS)
        self._project_conv = nn.Conv2d(wide, out, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(out, eps=_BN_EPS)
        self._relu = nn.ReLU6(inplace=True)
        self._expands = expansion != 1
        self._skips = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        y = self._relu(self._bn0(self._expand_conv(x))) if self._expands else x
        y = self._relu(self._bn1(self._depthwise_conv(y)))
        projected: Tensor = self._bn2(self._project_conv(y))
        return x + projected if self._skips else projected
