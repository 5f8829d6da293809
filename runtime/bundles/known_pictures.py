"""Pictures whose answers the bundle knows: a backend that gives others is not the detector that was trained."""

import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.errors import ArtifactError
from runtime.bundles.bundle import OTHER_VERSION, Bundle
from runtime.bundles.precision import Precision

KNOWN_PICTURES = "known_pictures.npz"
"""In a bundle."""
FAULTS = (OSError, ValueError, TypeError, KeyError, EOFError, RuntimeError, zlib.error, zipfile.BadZipFile)
"""What reading a damaged file of numpy's raises."""
MOST_PICTURES = 16
MANY_BYTES = 2**20
"""For what is no picture in it."""
TOLERANCE: dict[Precision, float] = {"fp32": 1e-3, "fp16": 0.02, "int8": 0.1}
"""Largest allowed |difference| of an error, as a share of its threshold, or of the error where it is larger."""


@dataclass(frozen=True)
class KnownPictures:
    """Frames at the model's size, and what the trained model said of them."""

    frames_bgr_u8: NDArray[np.uint8]
    """(N, H, W, 3)."""
    errors: NDArray[np.float32]
    """(N, K + 1)."""


def save_known_pictures(folder: Path, frames_bgr_u8: NDArray[np.uint8], errors: NDArray[np.float32]) -> None:
    """Write frames (N, H, W, 3) and their errors (N, K + 1) into the bundle folder `folder`."""
    np.savez_compressed(folder / KNOWN_PICTURES, frames_bgr_u8=frames_bgr_u8, errors=errors)


def load_known_pictures(bundle: Bundle) -> KnownPictures | None:
    """Read them; None where the bundle holds none. Raises ArtifactError where they are not what the model takes."""
    if KNOWN_PICTURES not in bundle.manifest.files:
        return None
    manifest, file = bundle.manifest, bundle.path / KNOWN_PICTURES
    try:
        content = io.BytesIO(bundle.read(KNOWN_PICTURES))
        largest_bytes = MOST_PICTURES * manifest.height * manifest.width * 3 + MANY_BYTES
        if sum(entry.file_size for entry in zipfile.ZipFile(content).infolist()) > largest_bytes:
            raise ArtifactError(f"{file}: larger than {MOST_PICTURES} pictures of this model; do not use it.")
        with np.load(content, allow_pickle=False) as stored:
            known = KnownPictures(stored["frames_bgr_u8"], stored["errors"])
    except FAULTS as error:
        raise ArtifactError(f"{file}: damaged or of another version; {OTHER_VERSION}.") from error
    count = len(known.errors)
    fits = known.frames_bgr_u8.shape == (count, manifest.height, manifest.width, 3)
    if not fits or known.errors.shape != (count, len(manifest.thresholds.values)):
        raise ArtifactError(f"{file}: not of this model; export it again.")
    return known
