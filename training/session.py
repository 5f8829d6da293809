"""A training session: from a configuration to a calibrated checkpoint. Lightning runs the loop and resumes it."""

import logging
import math
import platform
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from core.dataset import Frames, hold_out, read_frames, training_samples
from core.errors import ArtifactError, DataError
from core.progress import counted
from core.thresholds import calibrate, parts_needed
from training.augment import with_copies
from training.checkpoint import Checkpoint, save_checkpoint
from training.encoder import load_weights
from training.inspector import Inspector, judge, set_stage_scale
from training.learner import Learner
from training.network import Network
from training.settings import TrainingSettings
from training.tiles import permutation_set

CHECKPOINT = "checkpoint"
_RESUME_POINT = "last.ckpt"
_EXPECTED_WARNINGS = (
    "does not have many workers",  # the frames are in memory: worker processes would only copy them
    r"module\(s\) in eval mode",  # a frozen encoder is so by intent
    "Experiment logs directory",
    "Checkpoint directory",
    "LeafSpec",
)


def train(settings: TrainingSettings, resume: bool = False) -> Path:
    """Train, calibrate and write `output/checkpoint`; return its path. `resume` goes on from the last finished epoch.

    Raises DataError where there are too few good pictures, ArtifactError where there is nothing to resume from.
    """
    output = Path(settings.output)
    resume_point = output / _RESUME_POINT
    if resume and not resume_point.is_file():
        raise ArtifactError(f"{resume_point}: nothing to resume from; run without --resume.")
    network_settings = settings.network
    size = (network_settings.height, network_settings.width)
    frames = read_frames(training_samples(settings.data), *size, network_settings.part_size)
    fitted, held_out = hold_out(len(frames.samples), settings.calibration_share, settings.seed)
    _require_enough(settings, len(fitted), len(held_out))
    output.mkdir(parents=True, exist_ok=True)

    L.seed_everything(settings.seed, verbose=False)
    tiles = network_settings.grid**2
    network = Network(network_settings, permutation_set(tiles, network_settings.permutations, settings.seed))
    if network_settings.encoder.weights:
        load_weights(network.encoder, network_settings.encoder.weights)
    dataset = _TrainingSet(network, with_copies(frames.bgr_u8[fitted], settings.augment, settings.seed))
    trainer = _trainer(settings)
    losses = _fit(trainer, Learner(network.train(), settings), dataset, resume_point if resume else None)
    path = output / CHECKPOINT
    if not trainer.is_global_zero:
        return path

    inspector = Inspector(network.to(_device()), settings.score).to(_device())
    set_stage_scale(inspector, frames.bgr_u8[fitted])
    errors, _ = judge(inspector, frames.bgr_u8[held_out])
    thresholds = calibrate(errors, settings.false_reject_rate)
    provenance = _provenance(frames, len(fitted), losses)
    save_checkpoint(path, Checkpoint(inspector, settings, thresholds, provenance))
    return path


class _TrainingSet(Dataset[list[Tensor]]):
    """Images in memory as bytes, and beside them, where the encoder is frozen, its maps, computed once."""

    def __init__(self, network: Network, frames_bgr_u8: NDArray[np.uint8]) -> None:
        self.network = network
        self.frames = torch.from_numpy(frames_bgr_u8)
        self.features = _cached_features(network, self.frames) if network.settings.encoder.frozen else None

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> list[Tensor]:
        image = self.network.images(self.frames[index][None])[0]
        return [image] if self.features is None else [self.features[index], image]


@torch.inference_mode()
def _cached_features(network: Network, frames: Tensor, batch_size: int = 16) -> Tensor:
    """Maps (N, K, C, h, w) float16 of all frames; sets the network's standardisation from them."""
    network.eval().to(_device())
    starts = counted(range(0, len(frames), batch_size), "encoding once")
    batches = (frames[start : start + batch_size].to(_device()) for start in starts)
    raw = torch.cat([network.features(network.images(batch)).cpu() for batch in batches])
    network.cpu()
    network.feature_mean.copy_(raw.mean(dim=(0, 1, 3, 4))[:, None, None])
    network.feature_std.copy_(raw.std(dim=(0, 1, 3, 4)).clamp_min(1e-4)[:, None, None])
    return ((raw - network.feature_mean) / network.feature_std).half()


def _device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _trainer(settings: TrainingSettings) -> L.Trainer:
    """Lightning's loop: mixed precision on a GPU, several devices by DDP, a resume point after each epoch."""
    output = Path(settings.output)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    alone = settings.devices == 1 or (settings.devices == "auto" and torch.cuda.device_count() < 2)
    return L.Trainer(
        devices=settings.devices,
        # A head whose loss has weight 0 gets no gradient.
        strategy="auto" if alone else "ddp_find_unused_parameters_true",
        precision="bf16-mixed" if torch.cuda.is_available() else "32-true",
        max_epochs=settings.epochs,
        default_root_dir=output,
        logger=CSVLogger(output, name="logs", version=""),
        callbacks=[ModelCheckpoint(output, "last", enable_version_counter=False)],
        log_every_n_steps=1,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def _fit(trainer: L.Trainer, learner: Learner, dataset: _TrainingSet, resume_point: Path | None) -> dict[str, float]:
    """Train; return the last epoch's mean of each loss term. A batch is one process's share of a step."""
    settings = learner.settings
    sampler: DistributedSampler[list[Tensor]] = DistributedSampler(
        dataset, trainer.world_size, trainer.global_rank, shuffle=True, seed=settings.seed
    )
    batch_size = min(settings.batch_size, len(sampler))
    # A generator of its own: drawing from the global one would part a resumed run from an unbroken one.
    loader = DataLoader(dataset, batch_size, sampler=sampler, drop_last=True, generator=torch.Generator())
    with warnings.catch_warnings():
        for expected in _EXPECTED_WARNINGS:
            warnings.filterwarnings("ignore", f".*{expected}.*")
        trainer.fit(learner, loader, ckpt_path=resume_point, weights_only=True)
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


def _require_enough(settings: TrainingSettings, fitted: int, held_out: int) -> None:
    """Refuse before training what calibration would refuse after it."""
    needed = parts_needed(settings.false_reject_rate)
    if fitted < 2 or held_out < needed:
        total = math.ceil(needed / settings.calibration_share)
        raise DataError(
            f"{settings.data}: {fitted + held_out} good pictures are too few: a false-reject rate of "
            f"{settings.false_reject_rate:.1%} needs {needed} kept aside, about {total} in all; "
            "add pictures, or raise `false_reject_rate` or `calibration_share`."
        )


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
