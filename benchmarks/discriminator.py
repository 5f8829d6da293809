"""Discriminators, tried as an explanation: they learned to tell a place of good parts from the same one disturbed.

After SimpleNet (Liu et al., CVPR 2023): no defect is shown, Gaussian noise on the encoder's maps stands for all. Unlike
a distance, it learns which deviations good parts have among themselves.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

WIDTH = 128
STEPS = 600
BATCH = 256
RATE = 1e-3
NOISE = 0.5
"""Deviation of what disturbs a place: half of what its channels have over all places of the training pictures."""
LEARNED = 0.5
"""How strongly the logarithm of what it says spreads over good parts, of that of the whole picture rebuilt."""
PLACES = 65_536
"""At most so many are learned from."""


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


def trained(places: Tensor, seed: int) -> Discriminator:
    """Train a discriminator on standardised places (P, C) of good parts."""
    generator = torch.Generator().manual_seed(seed)
    places = places[torch.randperm(len(places), generator=generator)[:PLACES]]
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
