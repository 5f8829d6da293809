"""Fitting one member: Lightning's loop over the training set, its log, and the point to resume from."""

import logging
import warnings
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler, Subset

from core.progress import Countdown
from training.learner import Learner
from training.settings import TrainingSettings

RESUME_POINT = "last.ckpt"
LEAST_STEPS = 100
"""Between two points to resume from: writing one takes as long as several steps, and small sets have few an epoch."""
_EXPECTED_WARNINGS = (
    "does not have many workers",  # the frames are in memory: worker processes would only copy them
    r"module\(s\) in eval mode",  # a frozen encoder is so by intent
    "Experiment logs directory",
    "Checkpoint directory",
    "LeafSpec",
)


def fit(
    learner: Learner, dataset: Subset[list[Tensor]], resume_point: Path | None, countdown: Countdown
) -> tuple[bool, dict[str, float]]:
    """Train a member; say whether this process is the first, and the last epoch's mean of each loss term.

    A batch is one process's share of a step.
    """
    settings = learner.settings
    trainer = _trainer(settings, learner.member, countdown)
    sampler: DistributedSampler[list[Tensor]] = DistributedSampler(
        dataset, trainer.world_size, trainer.global_rank, shuffle=True, seed=settings.seed
    )
    batch_size = min(settings.batch_size, len(sampler))
    # A generator of its own: drawing from the global one would part a resumed run from an unbroken one.
    own = torch.Generator()
    loader = DataLoader(dataset, batch_size, sampler=sampler, drop_last=True, generator=own, collate_fn=_whole)
    with warnings.catch_warnings():
        for expected in _EXPECTED_WARNINGS:
            warnings.filterwarnings("ignore", f".*{expected}.*")
        trainer.fit(learner, loader, ckpt_path=resume_point, weights_only=True)
    return trainer.is_global_zero, {name: float(value) for name, value in trainer.callback_metrics.items()}


def _trainer(settings: TrainingSettings, member: int, countdown: Countdown) -> L.Trainer:
    """Lightning's loop: mixed precision on a GPU, several devices by DDP."""
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
        logger=CSVLogger(output, name="logs", version=f"decoder-{member + 1}"),
        callbacks=[_ResumePoint(output / RESUME_POINT), _Counted(countdown)],
        log_every_n_steps=1,
        enable_model_summary=False,
        enable_progress_bar=False,
        use_distributed_sampler=False,
    )


class _ResumePoint(Checkpoint):
    def __init__(self, path: Path) -> None:
        self.path = path
        self._written_at_step = 0

    def on_train_epoch_end(self, trainer: L.Trainer, _: L.LightningModule) -> None:
        last = trainer.current_epoch + 1 == trainer.max_epochs
        if last or trainer.global_step - self._written_at_step >= LEAST_STEPS:
            trainer.save_checkpoint(self.path)
            self._written_at_step = trainer.global_step


class _Counted(Callback):
    def __init__(self, countdown: Countdown) -> None:
        self.countdown = countdown

    def on_train_start(self, trainer: L.Trainer, _: L.LightningModule) -> None:
        self.countdown.skip(trainer.current_epoch)

    def on_train_epoch_end(self, *_: object) -> None:
        self.countdown.advance()


def _whole(batch: list[Tensor]) -> list[Tensor]:
    """Leave a batch as the training set gives it."""
    return batch
