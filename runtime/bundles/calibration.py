"""A bundle's calibration: the errors of the good parts that set its thresholds, to set them anew without training."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from core.errors import ArtifactError
from runtime.bundles.bundle import Bundle
from runtime.bundles.manifest import Record

CALIBRATION = "calibration.json"
"""In a bundle."""


class _Calibration(Record):
    names: tuple[str, ...]
    errors: tuple[tuple[float, ...], ...]


def save_calibration(folder: Path, names: Sequence[str], errors: NDArray[np.floating]) -> None:
    """Write the good parts' pictures by name and their errors (M, K + 1) into the bundle folder `folder`."""
    content = _Calibration(names=tuple(names), errors=tuple(map(tuple, errors.astype(float).tolist())))
    (folder / CALIBRATION).write_text(content.model_dump_json() + "\n", encoding="utf-8", errors="backslashreplace")


def load_calibration(bundle: Bundle) -> NDArray[np.float64]:
    """Read the good parts' errors (M, K + 1). Raises ArtifactError where the bundle holds none."""
    if CALIBRATION not in bundle.manifest.files:
        raise ArtifactError(
            f"{bundle.path}: no {CALIBRATION} in it, so it was exported by an older version; export it again."
        )
    try:
        content = _Calibration.model_validate_json((bundle.path / CALIBRATION).read_text(encoding="utf-8"))
    except ValidationError as error:
        raise ArtifactError(f"{bundle.path}: {CALIBRATION} is of another version; export it again.") from error
    return np.asarray(content.errors, np.float64)
