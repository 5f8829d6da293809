"""ResNets without their classifier, with torchvision's parameter names: 50 (the paper's), 18, and a tiny one."""

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class ResNetShape:
    """What tells one ResNet from another."""

    bottleneck: bool
    blocks: tuple[int, ...]
    width: int = 64
    stride_in_1x1: bool = False
    """The original (v1) network, as in Keras: a stage's stride sits in its first 1x1 convolution, not in the 3x3."""
    bn_eps: float = 1e-5


SHAPES = {
    "resnet50": ResNetShape(True, (3, 4, 6, 3)),
    "resnet50-v1": ResNetShape(True, (3, 4, 6, 3), stride_in_1x1=True, bn_eps=1.001e-5),
    "resnet18": ResNetShape(False, (2, 2, 2, 2)),
    "tiny": ResNetShape(False, (1, 1, 1, 1), width=8),
}


class ResNet(nn.Module):
    """Stages 1..`stages` of a ResNet: strides 4, 8, 16, 32."""

    def __init__(self, shape: ResNetShape, stages: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, shape.width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(shape.width, eps=shape.bn_eps)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.channels: list[int] = []
        channels = shape.width
        for stage in range(stages):
            width = shape.width * 2**stage
            blocks = []
            for block in range(shape.blocks[stage]):
                stride = 2 if stage > 0 and block == 0 else 1
                blocks.append(_Block(channels, width, stride, shape))
                channels = width * (4 if shape.bottleneck else 1)
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
            self.channels.append(channels)

    def forward(self, x: Tensor, last: int | None = None) -> list[Tensor]:
        """Map normalised images (N, 3, H, W) to the maps of each stage (up to `last`), the finest first."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        maps = []
        for stage in range(len(self.channels[:last])):
            x = self.get_submodule(f"layer{stage + 1}")(x)
            maps.append(x)
        return maps


class _Block(nn.Module):
    """A residual block: two 3x3 convolutions, or 1x1, 3x3, 1x1 where the shape says bottleneck."""

    def __init__(self, channels: int, width: int, stride: int, shape: ResNetShape) -> None:
        super().__init__()
        out = width * (4 if shape.bottleneck else 1)
        if shape.bottleneck:
            first, second = (stride, 1) if shape.stride_in_1x1 else (1, stride)
            convolutions = [
                nn.Conv2d(channels, width, 1, first, bias=False),
                nn.Conv2d(width, width, 3, second, 1, bias=False),
                nn.Conv2d(width, out, 1, bias=False),
            ]
        else:
            convolutions = [
                nn.Conv2d(channels, width, 3, stride, 1, bias=False),
                nn.Conv2d(width, out, 3, 1, 1, bias=False),
            ]
        self.depth = len(convolutions)
        for i, convolution in enumerate(convolutions, 1):
            self.add_module(f"conv{i}", convolution)
            self.add_module(f"bn{i}", nn.BatchNorm2d(convolution.out_channels, eps=shape.bn_eps))
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out, eps=shape.bn_eps)
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        for i in range(1, self.depth + 1):
            x = self.get_submodule(f"bn{i}")(self.get_submodule(f"conv{i}")(x))
            if i < self.depth:
                x = self.relu(x)
        return self.relu(x + shortcut)  # type: ignore[no-any-return]
