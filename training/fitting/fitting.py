"""Fitting one member: Lightning's loop over the training set, its log, and the point to resume from."""

import csv
import io
import logging
import shutil
import warnings
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import Callback, Checkpoint
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler, Subset

from core.files import write_whole
from core.progress import Steps
from training.fitting.learner import Learner
from training.fitting.resume_point import read_point, resume_point
from training.processes import local_rank, together
from training.settings import TrainingSettings

LEAST_STEPS = 100
"""Between two points to resume from: writing one takes as long as several steps, and small sets have few an epoch."""
_EXPECTED_WARNINGS = (
    "does not have many workers",  # the frames are in memory: worker processes would only copy them
    r"module\(s\) in eval mode",  # a frozen encoder is so by intent
    "Experiment logs directory",
    "Checkpoint directory",
    "LeafSpec",
    "`srun` command is available",  # Lightning's advice, by which nothing of ours would start together
)


def fit(learner: Learner, dataset: Subset[list[Tensor]], countdown: Steps) -> bool:
    """Train a member from its resume point on, where it has one, up to its last; say whether this process is the first.

    A batch is one process's share of a step. The log starts again, or goes on with what it had at the resume point.
    """
    settings = learner.settings
    trainer = _trainer(settings, learner.member, countdown)
    path = resume_point(Path(settings.output), learner.member)
    point = path if path.exists() else None
    if trainer.is_global_zero:
        _begin_log(trainer, point)
    with warnings.catch_warnings():
        for expected in _EXPECTED_WARNINGS:
            warnings.filterwarnings("ignore", f".*{expected}.*")
        trainer.fit(learner, datamodule=_Shares(dataset, settings), ckpt_path=point, weights_only=True)
    return trainer.is_global_zero


def _trainer(settings: TrainingSettings, member: int, countdown: Steps) -> L.Trainer:
    """Lightning's loop: mixed precision on a GPU, several devices by DDP."""
    output = Path(settings.output)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    # Lightning has it from a scheduler's variables, too, where no other process trains.
    rank_zero_only.rank = local_rank()  # type: ignore[attr-defined]
    return L.Trainer(
        devices=settings.devices,
        # Whatever a scheduler says; torchrun's processes are told as Lightning's own.
        plugins=[LightningEnvironment(), WrittenWhole()],
        # A head whose loss has weight 0 gets no gradient.
        strategy="auto" if together(settings.devices) == 1 else "ddp_find_unused_parameters_true",
        precision="bf16-mixed" if torch.cuda.is_available() else "32-true",
        max_epochs=settings.epochs,
        default_root_dir=output,
        logger=_loggers(settings, member),
        callbacks=[_ResumePoint(resume_point(output, member)), _Counted(countdown)],
        log_every_n_steps=1,
        enable_model_summary=False,
        enable_progress_bar=False,
        use_distributed_sampler=False,
    )


class _Shares(L.LightningDataModule):
    """Each process's share of the pictures that the first one chose."""

    def __init__(self, dataset: Subset[list[Tensor]], settings: TrainingSettings) -> None:
        super().__init__()
        self.dataset = dataset
        self.settings = settings

    def train_dataloader(self) -> DataLoader[list[Tensor]]:
        trainer, settings = self.trainer, self.settings
        assert trainer is not None  # noqa: S101 - the one that asks
        # Each has looked at the pictures on a GPU of its own, whose rounding may differ: with another number of steps
        # they would wait for one another for ever.
        dataset = Subset(self.dataset.dataset, trainer.strategy.broadcast(self.dataset.indices))
        sampler: DistributedSampler[list[Tensor]] = DistributedSampler(
            dataset, trainer.world_size, trainer.global_rank, shuffle=True, seed=settings.seed
        )
        batch_size = min(settings.batch_size, len(sampler))
        # A generator of its own: drawing from the global one would part a resumed run from an unbroken one.
        own = torch.Generator()
        return DataLoader(dataset, batch_size, sampler=sampler, drop_last=True, generator=own, collate_fn=_whole)


def _loggers(settings: TrainingSettings, member: int) -> list[Logger]:
    place: dict[str, Any] = {"save_dir": settings.output, "name": "logs", "version": f"decoder-{member + 1}"}
    loggers: list[Logger] = [CSVLogger(**place, flush_logs_every_n_steps=1)]
    if settings.tensorboard:
        loggers.append(TensorBoardLogger(**place))
    return loggers


def _begin_log(trainer: L.Trainer, resumed: Path | None) -> None:
    """Clear away another training's log; of this one's, keep the epochs up to the resume point."""
    logger = trainer.loggers[0]
    assert isinstance(logger, CSVLogger)  # noqa: S101 - the first of `_loggers`
    folder, earlier = Path(logger.log_dir), list[dict[str, Any]]()
    if resumed is None:
        shutil.rmtree(folder, ignore_errors=True)
    elif (folder / "metrics.csv").is_file():
        point = read_point(resumed)
        with (folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
            earlier = [row for row in csv.DictReader(file) if int(row["epoch"]) < point["epoch"]]
        # Lightning logs an epoch after its point was written: a kill may have come between.
        earlier.append({**point["metrics"], "epoch": point["epoch"], "step": point["global_step"] - 1})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", f".*{_EXPECTED_WARNINGS[2]}.*")
        logger.experiment.metrics += earlier  # Lightning's logger deletes what was there when it begins


class WrittenWhole(TorchCheckpointIO):
    """Writes points in their own folder: Lightning's copies them there from another disk, over the one before."""

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: object = None,  # noqa: ARG002 - Lightning names it
    ) -> None:
        """Write a point. Raises OSError; the one before stays then."""
        content = io.BytesIO()
        torch.save(checkpoint, content)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_whole(Path(path), content.getbuffer())


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
    def __init__(self, countdown: Steps) -> None:
        self.countdown = countdown

    def on_train_start(self, trainer: L.Trainer, _: L.LightningModule) -> None:
        self.countdown.skip(trainer.current_epoch)

    def on_train_epoch_end(self, *_: object) -> None:
        self.countdown.advance()


def _whole(batch: list[Tensor]) -> list[Tensor]:
    """Leave a batch as the training set gives it."""
    return batch
