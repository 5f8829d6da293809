"""Overlays: judged pictures with their error maps over them, a file each."""

import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from assessment.model import Model
from assessment.part_view import read_view
from core.datasets.dataset import Sample
from core.datasets.layout import is_taken, require_apart
from core.errors import ConfigError
from core.files import make_folder, naming
from runtime.evidence.overlay import draw
from runtime.evidence.part_picture import PartPicture
from runtime.parts.moment import Moment
from runtime.parts.part import Part
from runtime.parts.verdict import Judgement

_LONGEST_PX = 1024
_LONGEST_STEM = 240
"""Bytes; file systems take names of 255."""


def overlays_folder(overlays: Path, read: Sequence[Path]) -> None:
    """Make the folder. Raises ConfigError where there is something in it, or it lies in one that is `read`."""
    require_apart(overlays, read)
    if is_taken(overlays):
        raise ConfigError(f"{overlays}: exists and is not empty; name a new folder for the overlays.")
    make_folder(overlays)


def write_overlay(
    overlays: Path, number: int, model: Model, sample: Sample, judgement: Judgement, error_map: NDArray[np.float32]
) -> Path:
    """Write a sample's picture with its error map (h, w) over it; give where. Raises OSError."""
    stem = os.fsdecode(os.fsencode(sample.path.stem)[:_LONGEST_STEM])
    overlay = overlays / f"{number:05}-{stem}.jpg"
    view = read_view(sample, model.input, _LONGEST_PX)
    part = Part("", Moment(0.0, 0.0), None, sample.path.name, ())
    shown = draw(view, PartPicture("", part, error_map, judgement, model.thresholds, model.grid))
    _done, encoded = cv2.imencode(".jpg", shown)
    with naming(overlay):
        overlay.write_bytes(encoded.tobytes())
    return overlay
