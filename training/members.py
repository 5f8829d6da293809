"""The members trained: side by side where that is faster, else one by one, each from its resume point on."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Subset

from core.progress import Countdown
from training.fitting import fit
from training.learner import Learner
from training.network import Network
from training.resume_point import resume_point
from training.settings import TrainingSettings
from training.side_by_side import processes_for, train_side_by_side
from training.training_set import TrainingSet


def train_members(
    network: Network,
    dataset: TrainingSet,
    held_out: list[NDArray[np.int64]],
    settings: TrainingSettings,
    left_out: NDArray[np.bool_],
) -> tuple[bool, dict[str, float]]:
    """Train each member, from its resume point on, without its fold and those `left_out` (N,) of the pictures.

    Says whether this process is the first, and the last member's losses.
    """
    copies = np.arange(1 + settings.augment.copies)[:, None] * len(left_out)
    chosen = {
        member: torch.from_numpy((np.setdiff1d(np.flatnonzero(~left_out), held) + copies).ravel())
        for member, held in enumerate(held_out)
        if not _is_finished(settings, member)
    }
    rank_zero, processes = True, processes_for(chosen, settings)
    with Countdown("training", settings.epochs * len(held_out)) as countdown:
        countdown.skip(settings.epochs * (len(held_out) - len(chosen)))
        if processes > 1:
            train_side_by_side(dataset, chosen, settings, processes, countdown)
        else:
            for member, pictures in chosen.items():
                learner = Learner(network.train(), settings, member)
                rank_zero = fit(learner, Subset(dataset, pictures.tolist()), countdown)
    for member in range(len(held_out)):
        if member not in chosen or processes > 1:
            Learner(network, settings, member).load_state_dict(_point(settings, member)["state_dict"], strict=False)
    losses = _point(settings, len(held_out) - 1)["metrics"] if rank_zero else {}
    return rank_zero, losses


def _is_finished(settings: TrainingSettings, member: int) -> bool:
    there = resume_point(Path(settings.output), member).exists()
    return there and _point(settings, member)["epoch"] + 1 == settings.epochs


def _point(settings: TrainingSettings, member: int) -> dict[str, Any]:
    """Load a member's resume point, the last of which holds what it has learnt."""
    point: dict[str, Any] = torch.load(
        resume_point(Path(settings.output), member), map_location="cpu", weights_only=True
    )
    return point
