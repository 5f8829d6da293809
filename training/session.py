"""A training session: from a configuration to a calibrated checkpoint. Lightning runs the loop and resumes it."""

import math
import platform
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Subset

from core.calibration import Calibration
from core.dataset import Frames, hold_out, read_frames, training_samples
from core.errors import ArtifactError, ConfigError, DataError
from core.progress import Countdown
from core.thresholds import parts_needed
from training.augment import with_copies
from training.checkpoint import Checkpoint, save_checkpoint
from training.device import choose_device
from training.encoder import load_weights
from training.first_look import doubted
from training.fitting import RESUME_POINT, fit
from training.inspector import Inspector
from training.learner import Learner
from training.network import Network
from training.settings import TrainingSettings
from training.suspects import report_suspects
from training.tiles import permutation_set
from training.training_set import TrainingSet

CHECKPOINT = "checkpoint"
LEAST_FITTED = 2


def train(settings: TrainingSettings, resume: bool = False) -> Path:
    """Train, calibrate and write `output/checkpoint`; return its path. `resume` goes on from the resume point.

    Raises DataError where there are too few good pictures, ArtifactError where there is nothing to resume from,
    ConfigError where it was another configuration that was interrupted, or TensorBoard is asked for and missing.
    """
    if settings.tensorboard and find_spec("tensorboard") is None:
        raise ConfigError("`tensorboard: true` needs the package tensorboard; pip install '.[tensorboard]'.")
    output = Path(settings.output)
    resume_point = _require_resumable(output / RESUME_POINT, settings) if resume else None
    chosen = settings.network
    frames = read_frames(training_samples(settings.data), chosen.height, chosen.width, chosen.part_size, chosen.roi)
    held_out = assign(len(frames.samples), settings)
    output.mkdir(parents=True, exist_ok=True)

    L.seed_everything(settings.seed, verbose=False)
    permutations = permutation_set(chosen.grid**2, chosen.permutations, settings.seed)
    network = Network(chosen, permutations, len(held_out))
    if chosen.encoder.weights:
        load_weights(network.encoder, chosen.encoder.weights)
    dataset = TrainingSet(network, with_copies(frames.bgr_u8, settings.augment, settings.seed))
    left_out = np.zeros(len(frames.samples), bool)
    if settings.folds > 1 and not settings.believe_all:
        left_out = _standing_apart(network, dataset, held_out, settings)
    with Countdown("training", settings.epochs * len(held_out)) as countdown:
        rank_zero, losses = _train_members(network, dataset, held_out, settings, left_out, resume_point, countdown)
    path = output / CHECKPOINT
    if not rank_zero:
        return path

    inspector = Inspector(network, settings.score).to(choose_device())
    judged = np.concatenate(held_out)
    errors = _held_out_errors(inspector, dataset, held_out)
    names = tuple(str(frames.samples[index].path.resolve()) for index in judged)
    calibration = Calibration(names, errors, left_out[judged])
    thresholds = calibration.thresholds(settings.false_reject_rate, settings.believe_all)
    provenance = _provenance(frames, len(frames.samples) - (len(judged) if len(held_out) == 1 else 0), losses)
    checkpoint = Checkpoint(inspector, settings, thresholds, calibration, provenance)
    save_checkpoint(path, checkpoint)
    report_suspects(calibration, frames, judged, output)
    return path


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
    if least_fitted < 2 or judged < needed:
        total = needed if settings.folds > 1 else math.ceil(needed / settings.calibration_share)
        rate = 1 / (judged + 1)
        raise DataError(
            f"{settings.data}: {pictures} good pictures are too few: a false-reject rate of "
            f"{settings.false_reject_rate:.1%} needs about {total}; add pictures, or set `false_reject_rate: "
            f"{math.ceil(rate * 100) / 100:.2f}`" + (" or `folds: 4`." if settings.folds == 1 else ".")
        )
    return held_out


def _standing_apart(
    network: Network, dataset: TrainingSet, held_out: list[NDArray[np.int64]], settings: TrainingSettings
) -> NDArray[np.bool_]:
    """Say which pictures (N,) stand apart at first look: neither trained on nor believed.

    A decoder that trains on a defect learns to rebuild it, in the parts that it judges too.
    """
    pictures = sum(map(len, held_out))
    inspector = Inspector(network, settings.score).to(choose_device())
    odd = doubted(inspector, dataset, pictures, settings.seed)
    network.cpu()
    fitted = min(pictures - odd.sum() - (~odd[held]).sum() for held in held_out)
    return odd if fitted >= LEAST_FITTED else np.zeros(pictures, bool)


def _train_members(
    network: Network,
    dataset: TrainingSet,
    held_out: list[NDArray[np.int64]],
    settings: TrainingSettings,
    left_out: NDArray[np.bool_],
    resume_point: Path | None,
    countdown: Countdown,
) -> tuple[bool, dict[str, float]]:
    """Train one member after the other; say whether this process is the first, and the last member's losses."""
    first = 0
    if resume_point is not None:
        # The point holds the whole network, so the members before it are restored with it.
        first = torch.load(resume_point, map_location="cpu", weights_only=True)["member"]
    countdown.skip(first * settings.epochs)
    rank_zero, losses = True, dict[str, float]()
    for member in range(first, len(held_out)):
        fitted = np.setdiff1d(np.flatnonzero(~left_out), held_out[member])
        copies = np.concatenate([fitted + len(left_out) * copy for copy in range(1 + settings.augment.copies)])
        learner = Learner(network.train(), settings, member)
        point = resume_point if member == first else None
        rank_zero, losses = fit(learner, Subset(dataset, copies.tolist()), point, countdown)
    return rank_zero, losses


@torch.inference_mode()
def _held_out_errors(
    inspector: Inspector, dataset: TrainingSet, held_out: list[NDArray[np.int64]]
) -> NDArray[np.float64]:
    """Errors (M, K + 1) of all pictures held out, each by the member that has not seen it; sets the stages' scale."""
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


def _require_resumable(resume_point: Path, settings: TrainingSettings) -> Path:
    """Check that it is there, and of this configuration."""
    if not resume_point.is_file():
        raise ArtifactError(f"{resume_point}: nothing to resume from; run without --resume.")
    before = torch.load(resume_point, map_location="cpu", weights_only=True).get("settings", "")
    if before != settings.model_dump_json():
        raise ConfigError(
            f"{resume_point}: was written with another configuration; put it back as it was, or run without --resume."
        )
    return resume_point


def _provenance(frames: Frames, fitted: int, losses: dict[str, float]) -> dict[str, Any]:
    """What a person asks of a model later."""
    return {
        "trained": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "pictures": len(frames.samples),
        "trained_on": fitted,
        "skipped": [str(path) for path in frames.skipped],
        "data_sha256": frames.fingerprint(),
        "losses": losses,
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "lightning": L.__version__},
    }
