"""A model in use: a bundle, the backend that runs it, and the thresholds in force for each camera."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from core.errors import ArtifactError, BackendError
from core.thresholds import Thresholds
from runtime.bundles.bundle import Bundle, load_bundle
from runtime.bundles.manifest import Manifest
from runtime.bundles.site_thresholds import load_site
from runtime.inference.backend import Backend
from runtime.inference.selection import open_backend
from runtime.inference.settings import BackendSettings


@dataclass(frozen=True)
class Detector:
    """A bundle with its backend, opened and warm."""

    bundle: Bundle
    backend: Backend


def open_detector(path: Path, key: Path | None, backend: BackendSettings, max_batch: int) -> Detector:
    """Open the bundle at `path`, signed with `key` where one is given, with the backend that is asked for.

    It has judged one batch of up to `max_batch` parts.

    Raises ArtifactError or BackendError.
    """
    bundle = load_bundle(path, key)
    load_site(path, bundle.manifest.model_sha256)
    return Detector(bundle, open_backend(backend, bundle, max_batch))


def reopen(bundle: Bundle | None, key: Path | None, backend: BackendSettings, max_batch: int) -> Backend:
    """Open a backend for the very bundle that is in use. Raises ArtifactError or BackendError."""
    if bundle is None:
        raise BackendError("a simulation has no engine.")
    if load_bundle(bundle.path, key).manifest != bundle.manifest:
        raise ArtifactError(f"{bundle.path}: another bundle lies there now; send `reload`, or restart.")
    return open_backend(backend, bundle, max_batch)


def thresholds_in_force(
    factors: Mapping[str, float], manifest: Manifest, bundle: Bundle | None
) -> dict[str, Thresholds]:
    """By camera: those that were set on site, else the bundle's, times the camera's factor of `factors`.

    Raises ArtifactError where those set on site cannot be read.
    """
    site = load_site(bundle.path, manifest.model_sha256) if bundle else {}
    return {camera: site.get(camera, manifest.thresholds).scaled(factor) for camera, factor in factors.items()}
