"""The folds: which pictures a member does not train on, and what it says of them."""

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from core.calibration import Calibration
from core.datasets.dataset import names, training_samples
from core.datasets.frames import Frames, distinct, read_frames
from core.errors import DataError
from core.thresholds import parts_needed
from training.detector.inspector import Inspector
from training.detector.memory import remember
from training.device import choose_device
from training.fitting.augment import of_copies
from training.fitting.training_set import TrainingSet
from training.looking.bursts import are_filmed_again, look_of, number_bursts, two_alike
from training.settings import TrainingSettings

LEAST_FITTED = 2


@dataclass(frozen=True, eq=False)
class Good:
    """The good pictures (N) of a training, and which of them each member does not train on."""

    frames: Frames
    digests: Sequence[str]
    """(N,) sha256 of their files, as they were read."""
    bursts: NDArray[np.int64]
    """(N,) see `find_bursts`."""
    held_out: list[NDArray[np.int64]]
    """Of each member, see `assign`."""


def deal(settings: TrainingSettings) -> Good:
    """Read the good pictures that a configuration names, and deal them to the members. Raises DataError."""
    frames = distinct(read_frames(training_samples(settings.data), settings.network.input))
    digests = frames.digests()  # of what was read, not of what lies there later
    bursts = find_bursts(frames, settings)
    return Good(frames, digests, bursts, assign(bursts, settings))


def find_bursts(frames: Frames, settings: TrainingSettings) -> NDArray[np.int64]:
    """Number (N,) the burst of each picture; ask where parts may have been filmed several times, and nobody said."""
    looks, paths = [look_of(frame) for frame in frames.bgr_u8], [sample.path for sample in frames.samples]
    found = number_bursts(looks, paths)
    parts = len(np.unique(found))
    if settings.bursts:
        needed = parts_needed(settings.false_reject_rate)
        few = f", too few to promise {settings.false_reject_rate:.1%}, which needs {needed}" if parts < needed else ""
        sys.stderr.write(f"bursts: {len(found)} pictures of about {parts} parts{few}\n")
        return found
    if settings.bursts is None and are_filmed_again(found):
        one, other = two_alike(found, looks, paths)
        sys.stderr.write(
            f"{len(found)} pictures look like {parts} parts: neighbours in the order of the files are alike. Look at "
            f"{one} and {other}: one part, filmed several times? Then set `bursts: true`. Two parts? Then set "
            "`bursts: false`, and this is not asked again.\n"
        )
    return np.arange(len(found))


def assign(bursts: NDArray[np.int64], settings: TrainingSettings) -> list[NDArray[np.int64]]:
    """Say which pictures each member does not train on, seeded: its fold, or with one member those kept aside.

    `bursts` (N,) numbers the burst of each picture. No burst is divided: a decoder that trained on another picture of a
    part judges it too well, and the thresholds would reject most parts. Raises DataError, before training, where
    calibration would find too few after it.
    """
    pictures = len(bursts)
    of_bursts = [np.flatnonzero(bursts == burst) for burst in np.unique(bursts)]
    shuffled = [of_bursts[index] for index in np.random.default_rng(settings.seed).permutation(len(of_bursts))]
    if settings.folds == 1:
        held_out = [_first(shuffled, round(settings.calibration_share * pictures))]
    else:
        held_out = _dealt(shuffled, settings.folds)
    judged, least_fitted = sum(map(len, held_out)), pictures - max(map(len, held_out))
    needed = parts_needed(settings.false_reject_rate)
    if least_fitted < LEAST_FITTED or judged < needed:
        total = needed if settings.folds > 1 else math.ceil(needed / settings.calibration_share)
        remedies = ["add pictures", *_other_remedies(pictures, judged, least_fitted, settings)]
        raise DataError(
            f"{', '.join(names(settings.data))}: {pictures} good pictures are too few: a false-reject rate of "
            f"{settings.false_reject_rate:.1%} needs about {total}; {', or '.join(remedies)}."
        )
    return held_out


def _first(bursts: Sequence[NDArray[np.int64]], pictures: int) -> NDArray[np.int64]:
    """Take bursts until there are so many pictures."""
    taken = np.zeros(0, np.int64)
    for burst in bursts:
        if len(taken) >= pictures:
            break
        taken = np.concatenate([taken, burst])
    return np.sort(taken)


def _dealt(bursts: Sequence[NDArray[np.int64]], folds: int) -> list[NDArray[np.int64]]:
    """Deal bursts to the folds, each to the one that has fewest pictures so far."""
    dealt = [np.zeros(0, np.int64)] * folds
    for burst in bursts:
        smallest = min(range(folds), key=lambda fold: len(dealt[fold]))
        dealt[smallest] = np.concatenate([dealt[smallest], burst])
    return [np.sort(fold) for fold in dealt]


def _other_remedies(pictures: int, judged: int, least_fitted: int, settings: TrainingSettings) -> Iterator[str]:
    """Say what else would do, where it would."""
    rate = math.ceil(100 / (judged + 1)) / 100
    if least_fitted >= LEAST_FITTED and rate < 1 and judged >= parts_needed(rate):
        yield f"set `false_reject_rate: {rate:.2f}`"
    many = pictures >= max(parts_needed(settings.false_reject_rate), LEAST_FITTED + 2)
    if settings.folds == 1 and settings.network.encoder.frozen and many:
        yield "set `folds: 4`"


@torch.inference_mode()
def judge_held_out(
    inspector: Inspector,
    dataset: TrainingSet,
    good: Good,
    doubted: NDArray[np.bool_],
    settings: TrainingSettings,
) -> Calibration:
    """Judge all pictures held out, each by the member that has not seen it.

    Fills the memory with what is not `doubted` (N,) of the pictures, and sets the stages' scale.
    """
    held_out = good.held_out
    inspector.eval().to(choose_device())
    if settings.score.memory:
        groups = _memory_groups(held_out, doubted, settings)
        inspector.memory = remember(inspector.network, dataset, groups, settings.score.memory, settings.seed)
    distances = torch.cat(
        [
            inspector.distances(images, maps, member).cpu()
            for member, held in enumerate(held_out)
            for images, maps in dataset.batches(held)
        ]
    )
    if inspector.score.space == "features":
        inspector.stage_scale.copy_(distances.mean(dim=(0, 2, 3))[:, None, None])
    judged = np.concatenate(held_out)
    return Calibration(
        names=tuple(str(good.frames.samples[index].whole_path) for index in judged),
        errors=inspector.cpu().errors(distances)[0].numpy().astype(np.float64),
        doubted=doubted[judged],
        bursts=good.bursts[judged],
        members=np.repeat(np.arange(len(held_out)), [len(held) for held in held_out]),
        digests=tuple(good.digests[index] for index in judged),
    )


def _memory_groups(
    held_out: list[NDArray[np.int64]], doubted: NDArray[np.bool_], settings: TrainingSettings
) -> list[NDArray[np.int64]]:
    """Say which pictures, with their copies, make each group of the memory: a fold, or with one member what it saw.

    Without those `doubted` (N,) of the pictures, which a memory would believe as a decoder does.
    """
    believed = np.flatnonzero(~doubted)
    folds = held_out if len(held_out) > 1 else [np.setdiff1d(believed, held_out[0])]
    return [of_copies(np.intersect1d(fold, believed), settings.augment, len(doubted)) for fold in folds]
