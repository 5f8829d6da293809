"""Discriminators: small networks that learned to tell a place of good parts from the same place disturbed.

After SimpleNet (Liu et al., CVPR 2023): no defect is shown, Gaussian noise on the encoder's maps stands for all. Unlike
a distance, it learns which deviations good parts have among themselves.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from core.progress import counted
from training.fitting.training_set import TrainingSet
from training.network.network import Network

WIDTH = 128
STEPS = 600
BATCH = 256
RATE = 1e-3
NOISE = 0.5
"""Deviation of what disturbs a place: half of what its channels have over all places of the training pictures."""
PLACES = 65_536
"""So many are learned from, as many of each picture."""


class Discriminator(nn.Sequential):
    """Maps (N, C, h, w) to logits (N, 1, h, w) that a place is disturbed. 1x1 convolutions: each place by itself."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            nn.Conv2d(channels, WIDTH, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(WIDTH, WIDTH, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(WIDTH, 1, 1),
        )


def told_apart(network: Network, maps: Tensor) -> Tensor:
    """Of standardised maps those (N, C, h, w) that discriminators see: the whole picture's, where they are judged."""
    return network.judged(maps)[:, -sum(network.feature_channels) // network.sources :]


def discriminate(
    network: Network, dataset: TrainingSet, groups: Sequence[NDArray[np.int64]], seed: int
) -> list[Discriminator]:
    """Train a discriminator for each member, on the pictures that it has trained on.

    Those are, where there are several `groups` of pictures, all but the one of the member's number.
    """
    members = range(len(groups))
    discriminators = []
    for member in counted(members, "telling apart"):
        others = [groups[other] for other in members if other != member] or [groups[0]]
        discriminators.append(trained(_places(network, dataset, np.concatenate(others), seed), seed + member))
    return discriminators


@torch.inference_mode()
def _places(network: Network, dataset: TrainingSet, pictures: NDArray[np.int64], seed: int) -> Tensor:
    """Vectors (P, C) of places drawn from the pictures, as many of each."""
    generator = torch.Generator().manual_seed(seed)
    each, drawn = math.ceil(PLACES / len(pictures)), []
    for _, maps in dataset.batches(pictures):
        rows = told_apart(network, maps).flatten(2)
        chosen = torch.randperm(rows.shape[2], generator=generator)[:each]
        drawn.append(rows[:, :, chosen.to(rows.device)].transpose(1, 2).flatten(0, 1))
    return torch.cat(drawn)


def trained(places: Tensor, seed: int) -> Discriminator:
    """Train a discriminator on standardised places (P, C) of good parts."""
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        discriminator = Discriminator(places.shape[1])
    discriminator.to(places.device)
    optimiser = torch.optim.AdamW(discriminator.parameters(), RATE, weight_decay=1e-5)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=STEPS)
    disturbed = torch.cat([torch.zeros(BATCH), torch.ones(BATCH)]).to(places.device)[None, None, :, None]
    for _ in range(STEPS):
        chosen = torch.randint(len(places), (BATCH,), generator=generator).to(places.device)
        noise = NOISE * torch.randn(BATCH, places.shape[1], generator=generator).to(places.device)
        good = places[chosen]
        # As one picture of so many places: as so many pictures of one it takes three times as long.
        logits = discriminator(torch.cat([good, good + noise]).T[None, :, :, None])
        loss = binary_cross_entropy_with_logits(logits, disturbed)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
    return discriminator.eval().requires_grad_(False)
