"""The members trained: side by side where that is faster, else one by one, each from its resume point on."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Subset

from core.cluster import cores
from core.errors import ConfigError
from core.progress import Countdown
from training.fitting.augment import of_copies
from training.fitting.resume_point import read_point, resume_point
from training.fitting.side_by_side import processes_for, train_side_by_side
from training.fitting.training_set import TrainingSet
from training.network.network import Network
from training.settings import TrainingSettings


def require_trainable(settings: TrainingSettings) -> None:
    """Refuse, before anything is read, devices that are not here, and what losses cannot be logged with.

    Raises ConfigError.
    """
    gpus = torch.cuda.device_count()
    most, which = (gpus, "GPUs") if gpus else (cores(), "cores")
    if settings.devices != "auto" and settings.devices > most:
        raise ConfigError(f"`devices: {settings.devices}`: this machine has {most} {which}; give no more, or `auto`.")
    if settings.tensorboard and find_spec("tensorboard") is None:
        raise ConfigError("`tensorboard: true` needs the package tensorboard; pip install '.[tensorboard]'.")


def train_members(
    network: Network,
    dataset: TrainingSet,
    held_out: list[NDArray[np.int64]],
    settings: TrainingSettings,
    doubted: NDArray[np.bool_],
) -> tuple[bool, dict[str, float]]:
    """Train each member, from its resume point on, without its fold and those `doubted` (N,) of the pictures.

    Says whether this process is the first, and the last member's losses.
    """
    from training.fitting.fitting import fit
    from training.fitting.learner import Learner

    points = [resume_point(Path(settings.output), member) for member in range(len(held_out))]
    believed = np.flatnonzero(~doubted)
    chosen = {
        member: torch.from_numpy(of_copies(np.setdiff1d(believed, held), settings.augment, len(doubted)))
        for member, held in enumerate(held_out)
        if not _is_finished(points[member], settings)
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
    for member, point in enumerate(points):
        if member not in chosen or processes > 1:
            Learner(network, settings, member).load_state_dict(read_point(point)["state_dict"], strict=False)
    return rank_zero, read_point(points[-1])["metrics"] if rank_zero else {}


def _is_finished(point: Path, settings: TrainingSettings) -> bool:
    return point.exists() and read_point(point)["epoch"] + 1 == settings.epochs
