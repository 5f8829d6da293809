"""A model as its user meets it: a checkpoint or a bundle, opened alike."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.calibration import Calibration
from core.errors import ArtifactError
from core.mistaken import CHECKPOINT
from core.pictures.geometry import ModelInput
from core.thresholds import Thresholds
from runtime.bundles.manifest import MANIFEST

MAX_BATCH = 8


@dataclass(frozen=True)
class Model:
    """A trained model that judges frames."""

    name: str
    input: ModelInput
    grid: int
    thresholds: Thresholds
    judge: Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], NDArray[np.float32]]]
    """Errors (N, K + 1) and error maps (N, h, w) of frames (N, H, W, 3) uint8 in BGR, at the input's size."""


def is_bundle(path: Path) -> bool:
    """Whether `path` is a bundle's folder; a checkpoint is a file. Raises ArtifactError where it is neither."""
    if not path.exists():
        raise ArtifactError(f"{path}: does not exist; give a checkpoint of train-model, or a bundle of export-engine.")
    if not path.is_dir():
        return False
    if not (path / MANIFEST).exists() and (path / CHECKPOINT).is_file():
        raise ArtifactError(f"{path}: is the folder of a training; give {path / CHECKPOINT}.")
    return True


def calibration_of(path: Path) -> Calibration:
    """Give the good parts' errors that a checkpoint or a bundle keeps. Raises ArtifactError; of an older bundle too."""
    if is_bundle(path):
        from runtime.bundles.bundle import load_bundle
        from runtime.bundles.calibration import load_calibration

        return load_calibration(load_bundle(path))
    from training.detector.checkpoint import load_checkpoint

    return load_checkpoint(path).calibration


@contextmanager
def opened(path: Path, threads: int = 0) -> Iterator[Model]:
    """Open a checkpoint, or a bundle with the backend that this machine has; on the CPU with `threads`, 0: all cores.

    Raises ArtifactError or BackendError, which also ends the context where the bundle's engine fails.
    """
    if is_bundle(path):
        with _bundle(path, threads) as model:
            yield model
    else:
        yield _checkpoint(path)


def _checkpoint(path: Path) -> Model:
    from training.detector.checkpoint import load_checkpoint
    from training.detector.inspector import judge

    checkpoint = load_checkpoint(path)
    settings, network = checkpoint.settings, checkpoint.settings.network
    return Model(
        name=settings.name,
        input=checkpoint.input,
        grid=network.grid,
        thresholds=checkpoint.thresholds,
        judge=lambda frames_bgr_u8: judge(checkpoint.inspector, frames_bgr_u8),
    )


@contextmanager
def _bundle(path: Path, threads: int) -> Iterator[Model]:
    from runtime.bundles.bundle import load_bundle
    from runtime.inference.selection import at_work, open_backend
    from runtime.inference.settings import BackendSettings

    bundle = load_bundle(path)
    manifest = bundle.manifest
    with at_work(open_backend(BackendSettings(threads=threads), bundle, MAX_BATCH)) as backend:
        buffer = backend.new_batch()

        def judge(frames_bgr_u8: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            batches = []
            for start in range(0, len(frames_bgr_u8), MAX_BATCH):
                rows = frames_bgr_u8[start : start + MAX_BATCH]
                buffer[: len(rows)] = rows
                pending = backend.submit(buffer[: len(rows)])
                # The next batch overwrites what the backend gives.
                batches.append((np.array(pending.errors()), np.array(pending.error_maps())))
            errors, maps = zip(*batches, strict=True)
            return np.concatenate(errors), np.concatenate(maps)

        yield Model(
            name=manifest.name,
            input=manifest.input,
            grid=manifest.grid,
            thresholds=manifest.thresholds,
            judge=judge,
        )
