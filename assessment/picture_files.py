"""Picture files: those that somebody names, and what a model sees of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.datasets.dataset import Sample, with_remarks
from core.datasets.frames import fit_as_seen
from core.errors import ConfigError, DataError
from core.pictures.geometry import ModelInput
from core.pictures.picture import list_pictures, read_picture


@dataclass(frozen=True)
class Seen:
    """Pictures (N) as a model sees them."""

    samples: Sequence[Sample]
    frames_bgr_u8: NDArray[np.uint8]
    """(N, H, W, 3); of one that cannot be read it means nothing."""
    reasons: dict[int, str]
    """Of each that cannot be read: why."""
    differs: dict[int, dict[str, str]]
    """Of each that can: how it differs from all that trained, see `core.pictures.unlike`."""

    @property
    def readable(self) -> list[int]:
        """Which can be read."""
        return list(self.differs)


def list_files(place: Path) -> list[Path]:
    """List the pictures in a folder, or the one that is named. Raises DataError where none is there."""
    if place.is_dir():
        return list_pictures(place)
    if not place.exists():
        raise DataError(f"{place}: no such picture or folder.")
    return [place]


def read_files(files: Sequence[Path], seen: ModelInput) -> Seen:
    """Read pictures; what a line cut out and kept is not cut again.

    Raises DataError where what people said of them, which tells of that, is damaged.
    """
    samples = with_remarks([Sample(file) for file in files])
    found = Seen(samples, np.empty((len(files), seen.height, seen.width, 3), np.uint8), {}, {})
    for row, sample in enumerate(samples):
        try:
            frame = read_picture(sample.path, seen.bits)
            _judged, found.differs[row] = fit_as_seen(frame, found.frames_bgr_u8[row], sample, seen)
        except (ConfigError, DataError) as error:
            found.reasons[row] = str(error)
    return found
