"""Site thresholds: set from a camera's own good parts, kept beside the bundle with who set them and when."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from core.errors import ArtifactError
from core.files import write_whole
from core.thresholds import LARGEST_LOOSENING, Thresholds
from core.timestamps import rfc3339
from runtime.bundles.manifest import Manifest

log = logging.getLogger(__name__)


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    thresholds: Thresholds
    by: str
    at: str
    """RFC 3339, UTC."""


class _Site(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    model_sha256: str
    """Thresholds belong to the model whose errors they are about."""
    cameras: dict[str, _Entry]


def site_file(bundle: Path) -> Path:
    """Beside the bundle folder: a bundle is never altered."""
    return bundle.resolve().with_name(bundle.resolve().name + ".thresholds.json")


def load_site(bundle: Path, manifest: Manifest) -> dict[str, Thresholds]:
    """Read the thresholds by camera; none where there is no file, or it is about another model (told in the log).

    Raises ArtifactError where the file cannot be used, or holds thresholds that the bundle's do not bear.
    """
    file = site_file(bundle)
    site = _read(file)
    if site is None:
        return {}
    if site.model_sha256 != manifest.model_sha256:
        log.warning("%s is about another model and not used; recalibrate, or remove it", file)
        return {}
    for camera, entry in site.cameras.items():
        _require_kinship(entry.thresholds, manifest.thresholds, f"{file}: camera {camera}")
        log.info(
            "thresholds of camera %s were set on site by=%r at=%s parts=%d",
            camera,
            entry.by,
            entry.at,
            entry.thresholds.parts,
        )
    return {camera: entry.thresholds for camera, entry in site.cameras.items()}


def store_site(bundle: Path, manifest: Manifest, camera: str, thresholds: Thresholds, by: str) -> Path:
    """Keep one camera's thresholds beside the others'.

    Raises ArtifactError where the bundle's do not bear them, or the folder takes no file.
    """
    file, model_sha256 = site_file(bundle), manifest.model_sha256
    _require_kinship(thresholds, manifest.thresholds, f"camera {camera}")
    before = _read(file)
    known: Mapping[str, _Entry] = before.cameras if before and before.model_sha256 == model_sha256 else {}
    entry = _Entry(thresholds=thresholds, by=by, at=rfc3339(time.time()))
    site = _Site(model_sha256=model_sha256, cameras={**known, camera: entry})
    try:
        write_whole(file, (site.model_dump_json(indent=2) + "\n").encode())
    except OSError as error:
        raise ArtifactError(f"{file}: cannot be written ({error.strerror}); check the folder's permissions.") from error
    return file


def _require_kinship(thresholds: Thresholds, bundles: Thresholds, where: str) -> None:
    """Refuse thresholds that belong to another grid, or are so loose that they would reject nothing."""
    if len(thresholds.values) != len(bundles.values):
        raise ArtifactError(
            f"{where}: {len(thresholds.values)} thresholds for {len(bundles.values)} errors; recalibrate anew."
        )
    loosest = max(value / least for value, least in zip(thresholds.values, bundles.values, strict=True))
    if loosest > LARGEST_LOOSENING:
        raise ArtifactError(
            f"{where}: a threshold is {loosest:.3g} times the bundle's, which may be {LARGEST_LOOSENING:g}: these "
            "parts look unlike those of the training; train with pictures of theirs."
        )


def _read(file: Path) -> _Site | None:
    try:
        return _Site.model_validate_json(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise ArtifactError(f"{file}: damaged or not readable; recalibrate anew after removing it.") from error
