"""The folds: which pictures a member does not train on, the members trained one after the other, and what they say."""

import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Subset

from core.dataset import hold_out, names
from core.errors import DataError
from core.progress import Countdown
from core.thresholds import parts_needed
from training.device import choose_device
from training.fitting import fit
from training.inspector import Inspector
from training.learner import Learner
from training.network import Network
from training.settings import TrainingSettings
from training.training_set import TrainingSet

LEAST_FITTED = 2


def assign(pictures: int, settings: TrainingSettings) -> list[NDArray[np.int64]]:
    """Say which pictures each member does not train on, seeded: its fold, or with one member those kept aside.

    Raises DataError, before training, where calibration would find too few after it.
    """
    if settings.folds == 1:
        held_out = [hold_out(pictures, settings.calibration_share, settings.seed)[1]]
    else:
        order = np.random.default_rng(settings.seed).permutation(pictures)
        held_out = [np.sort(order[fold :: settings.folds]) for fold in range(settings.folds)]
    judged, least_fitted = sum(map(len, held_out)), pictures - max(map(len, held_out))
    needed = parts_needed(settings.false_reject_rate)
    if least_fitted < LEAST_FITTED or judged < needed:
        total = needed if settings.folds > 1 else math.ceil(needed / settings.calibration_share)
        rate = 1 / (judged + 1)
        raise DataError(
            f"{', '.join(names(settings.data))}: {pictures} good pictures are too few: a false-reject rate of "
            f"{settings.false_reject_rate:.1%} needs about {total}; add pictures, or set `false_reject_rate: "
            f"{math.ceil(rate * 100) / 100:.2f}`" + (" or `folds: 4`." if settings.folds == 1 else ".")
        )
    return held_out


def train_members(
    network: Network,
    dataset: TrainingSet,
    held_out: list[NDArray[np.int64]],
    settings: TrainingSettings,
    left_out: NDArray[np.bool_],
    resume_point: Path | None,
) -> tuple[bool, dict[str, float]]:
    """Train one member after the other, without its fold and those `left_out` (N,) of the pictures.

    Says whether this process is the first, and the last member's losses.
    """
    first = 0
    if resume_point is not None:
        # The point holds the whole network, so the members before it are restored with it.
        first = torch.load(resume_point, map_location="cpu", weights_only=True)["member"]
    rank_zero, losses = True, dict[str, float]()
    with Countdown("training", settings.epochs * len(held_out)) as countdown:
        countdown.skip(first * settings.epochs)
        for member in range(first, len(held_out)):
            fitted = np.setdiff1d(np.flatnonzero(~left_out), held_out[member])
            copies = np.concatenate([fitted + len(left_out) * copy for copy in range(1 + settings.augment.copies)])
            learner = Learner(network.train(), settings, member)
            point = resume_point if member == first else None
            rank_zero, losses = fit(learner, Subset(dataset, copies.tolist()), point, countdown)
    return rank_zero, losses


@torch.inference_mode()
def held_out_errors(
    inspector: Inspector, dataset: TrainingSet, held_out: list[NDArray[np.int64]]
) -> NDArray[np.float64]:
    """Errors (M, K + 1) of all pictures held out, each by the member that has not seen it; sets the stages' scale."""
    inspector.eval().to(choose_device())
    pixels = inspector.score.space == "pixels"
    distances = torch.cat(
        [
            inspector.distances(images, maps, member, pixels)[0].cpu()
            for member, held in enumerate(held_out)
            for images, maps in dataset.batches(held)
        ]
    )
    if not pixels:
        inspector.stage_scale.copy_(distances.mean(dim=(0, 2, 3))[:, None, None])
    return inspector.cpu().errors(distances)[0].numpy().astype(np.float64)
