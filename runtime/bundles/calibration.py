"""A bundle's calibration: the errors of the good parts that set its thresholds, to set them again without training."""

from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from core.calibration import Calibration
from core.errors import ArtifactError
from core.printable import printable
from runtime.bundles.bundle import OTHER_VERSION, Bundle
from runtime.bundles.manifest import Record

CALIBRATION = "calibration.json"
"""In a bundle."""


class _Calibration(Record):
    names: tuple[str, ...]
    errors: tuple[tuple[float, ...], ...]
    doubted: tuple[bool, ...]
    bursts: tuple[Annotated[int, Field(ge=0, lt=2**63)], ...] = ()
    """Empty: each picture is of another part."""
    digests: tuple[str, ...] = ()
    """Empty in a bundle of before."""


def save_calibration(folder: Path, calibration: Calibration) -> None:
    """Write the good parts' pictures by name, and their errors, into the bundle folder `folder`."""
    errors = tuple(map(tuple, calibration.errors.tolist()))
    doubted, bursts = tuple(calibration.doubted.tolist()), tuple(calibration.bursts.tolist())
    names = tuple(map(printable, calibration.names))
    content = _Calibration(names=names, errors=errors, doubted=doubted, bursts=bursts, digests=calibration.digests)
    (folder / CALIBRATION).write_text(content.model_dump_json() + "\n", encoding="utf-8")


def load_calibration(bundle: Bundle) -> Calibration:
    """Read the good parts' errors. Raises ArtifactError where the bundle holds none, or others than its model's."""
    if CALIBRATION not in bundle.manifest.files:
        raise ArtifactError(
            f"{bundle.path}: no {CALIBRATION} in it, so it was exported by an older version; export it again."
        )
    try:
        content = _Calibration.model_validate_json(bundle.read(CALIBRATION))
        errors = np.asarray(content.errors, np.float64)
    except ValueError as error:
        raise ArtifactError(
            f"{bundle.path}: {CALIBRATION} is damaged or of another version; {OTHER_VERSION}."
        ) from error
    parts = len(content.names)
    bursts = np.asarray(content.bursts or range(parts), np.int64)
    fits = errors.shape == (parts, len(bundle.manifest.thresholds.values))
    fits = fits and len(content.doubted) == len(bursts) == parts and len(content.digests) in (0, parts)
    if not fits or not (np.isfinite(errors) & (errors >= 0)).all():
        raise ArtifactError(f"{bundle.path}: {CALIBRATION} is not of this model; export it again.")
    doubted = np.asarray(content.doubted, bool)
    return Calibration(content.names, errors, doubted, bursts, digests=content.digests)
