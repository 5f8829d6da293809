"""A training session: from a configuration to a calibrated checkpoint. Lightning runs the loop and resumes it."""

import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from core.datasets.dataset import Sample, counts, folders_told
from core.datasets.frames import Frames
from training.detector.checkpoint import Checkpoint, save_checkpoint
from training.detector.inspector import Inspector, new_inspector
from training.first_look import doubted_among
from training.fitting.members import require_trainable, train_members
from training.fitting.resume_point import (
    clear_resume_points,
    note_pictures,
    require_resumable,
    require_same_pictures,
)
from training.fitting.training_set import TrainingSet, prepare
from training.folds import deal, judge_held_out
from training.looking.upright import with_upright_read
from training.settings import TrainingSettings
from training.suspects import report_suspects


def train(settings: TrainingSettings, resume: bool = False) -> Path:
    """Train, calibrate and write `output/checkpoint`; return its path. `resume` goes on from the resume point.

    Raises DataError where there are too few good pictures, ArtifactError where there is nothing to resume from,
    ConfigError where another configuration or other pictures were interrupted, or TensorBoard is asked for and missing.
    """
    require_trainable(settings)
    settings = with_upright_read(settings)
    output = Path(settings.output)
    if resume:
        require_resumable(output, settings)
    good = deal(settings)
    frames, held_out = good.frames, good.held_out
    by_folder = counts(settings.data, frames.samples)
    sys.stderr.write(_told(by_folder, frames))
    output.mkdir(parents=True, exist_ok=True)
    fingerprint = frames.fingerprint()
    if resume:
        require_same_pictures(output, fingerprint)
    else:
        clear_resume_points(output)

    from lightning import seed_everything  # takes seconds: what is wrong with the pictures has been told

    seed_everything(settings.seed, verbose=False)
    inspector = new_inspector(settings, len(held_out))
    network = inspector.network
    dataset = prepare(network, frames.bgr_u8, settings.augment, settings.seed)
    doubted = _doubted(inspector, dataset, frames.samples, settings)
    note_pictures(output, fingerprint)
    rank_zero, losses = train_members(network, dataset, held_out, settings, doubted)
    path = settings.checkpoint
    if not rank_zero:
        return path

    calibration = judge_held_out(inspector, dataset, good, doubted, settings)
    judged = np.concatenate(held_out)
    thresholds = calibration.thresholds(settings.false_reject_rate, settings.believe_all)
    fitted = int((~doubted).sum()) - (len(judged) if len(held_out) == 1 else 0)
    provenance = _provenance(frames, by_folder, fingerprint, fitted, losses)
    checkpoint = Checkpoint(inspector, settings, thresholds, calibration, provenance)
    save_checkpoint(path, checkpoint)
    report_suspects(calibration, thresholds, frames, judged, output)
    clear_resume_points(output)
    return path


def _told(by_folder: dict[str, int], frames: Frames) -> str:
    """Say in lines which pictures train."""
    found = ", then ".join(f"{count} of {folder}" for folder, count in by_folder.items())
    several = f"good pictures: {found}, each counted once\n" if len(by_folder) > 1 else ""
    return f"{several}trained on as good parts: {folders_told(frames.samples)}\n"


def _doubted(
    inspector: Inspector, dataset: TrainingSet, samples: Sequence[Sample], settings: TrainingSettings
) -> NDArray[np.bool_]:
    """Say which pictures (N,) stand apart at a first look, so that no decoder trains on them.

    One that trains on a defect learns to rebuild it, in the parts that it judges too. Of a part that was marked as good
    somebody knows that it has none.
    """
    if settings.folds == 1 or settings.believe_all:
        return np.zeros(len(samples), bool)
    marked = np.array([sample.is_marked for sample in samples])
    apart: NDArray[np.bool_] = doubted_among(inspector, dataset, len(samples), settings.seed) & ~marked
    return apart


def _provenance(
    frames: Frames, by_folder: dict[str, int], fingerprint: str, fitted: int, losses: dict[str, float]
) -> dict[str, Any]:
    """What a person asks of a model later; `fitted` pictures trained."""
    return {
        "trained": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "pictures": len(frames.samples),
        "trained_on": fitted,
        "skipped": frames.names_skipped,
        "folders": by_folder,
        "data_sha256": fingerprint,
        "aspects": frames.aspects,
        "colours": frames.colours,
        "losses": losses,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "lightning": version("lightning"),
        },
    }
