"""The pictures that an export needs: those on which it is proven, and good ones that show an int8 graph its ranges."""

import numpy as np
from numpy.typing import NDArray

from core.datasets.dataset import labelled_samples, spread, training_samples
from core.datasets.frames import read_frames
from core.errors import DataError
from core.progress import console
from export.draft import Draft
from export.parity import ParitySet, exam_frames
from training.detector.inspector import judge
from training.settings import TrainingSettings

FEW_PICTURES = 20
RANGE_PICTURES = 64


def parity_set(draft: Draft, data: str | None) -> ParitySet:
    """Let PyTorch judge up to 200 pictures of `data`; None: those that the checkpoint was trained on.

    Raises DataError where there are none.
    """
    checkpoint = draft.checkpoint
    try:
        frames, samples = exam_frames(labelled_samples(data or checkpoint.settings.data), checkpoint.input)
    except DataError as error:
        raise DataError(f"no pictures to prove parity on: {error} Name others with --parity-data.") from error
    if len(samples) < FEW_PICTURES:
        console.print(f"only {len(samples)} pictures to prove parity on, which proves little: give {FEW_PICTURES}")
    return ParitySet(frames, samples, judge(checkpoint.inspector, frames)[0], checkpoint.thresholds)


def good_frames(settings: TrainingSettings) -> NDArray[np.uint8]:
    """Read up to RANGE_PICTURES good pictures (N, H, W, 3) of the training. Raises DataError where there are none."""
    network = settings.network
    try:
        samples = training_samples(settings.data)
    except DataError as error:
        raise DataError(f"int8 needs the good pictures of the training to find its ranges: {error}") from error
    chosen = spread(samples, RANGE_PICTURES)
    return read_frames(chosen, network.input).bgr_u8
