"""How the learning rate goes over a training's steps: the paper's decay, or one cycle."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR


def decay(optimiser: Optimizer, a: float, b: float, steps: int) -> LambdaLR:
    """Its own rate, times 1 / (1 + a p)^b with progress p from 0 to 1."""
    return LambdaLR(optimiser, lambda step: (1 + a * step / steps) ** -b)


def one_cycle(optimiser: Optimizer, rate: float, steps: int) -> OneCycleLR:
    """Up to the `rate` over a tenth of the steps, at least one, and down again."""
    return OneCycleLR(optimiser, rate, steps + 1, pct_start=max(0.1, 2 / (steps + 1)))
