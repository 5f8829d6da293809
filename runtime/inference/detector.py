"""A model in use: a bundle, the backend that runs it, and the thresholds in force for each camera."""

from dataclasses import dataclass
from pathlib import Path

from core.errors import ArtifactError, BackendError
from core.thresholds import Thresholds
from runtime.bundles.bundle import Bundle, load_bundle
from runtime.bundles.manifest import Manifest
from runtime.bundles.site_thresholds import load_site
from runtime.inference.backend import Backend
from runtime.inference.selection import open_backend
from runtime.settings import InspectionSettings


@dataclass(frozen=True)
class Detector:
    """A bundle with its backend, opened and warm."""

    bundle: Bundle
    backend: Backend


def open_detector(settings: InspectionSettings, path: Path) -> Detector:
    """Open the bundle at `path` with the backend that `settings` ask for; it has judged once.

    Raises ArtifactError or BackendError.
    """
    bundle = load_bundle(path, settings.bundle_key)
    load_site(path, bundle.manifest.model_sha256)
    return Detector(bundle, open_backend(settings.backend, bundle, settings.batching.max_batch))


def reopen(settings: InspectionSettings, bundle: Bundle | None) -> Backend:
    """Open a backend for the very bundle that is in use. Raises ArtifactError or BackendError."""
    if bundle is None:
        raise BackendError("a simulation has no engine.")
    if load_bundle(bundle.path, settings.bundle_key).manifest != bundle.manifest:
        raise ArtifactError(f"{bundle.path}: another bundle lies there now; send `reload`, or restart.")
    return open_backend(settings.backend, bundle, settings.batching.max_batch)


def thresholds_in_force(
    settings: InspectionSettings, manifest: Manifest, bundle: Bundle | None
) -> dict[str, Thresholds]:
    """By camera: those that were set on site, else the bundle's, times the camera's factor.

    Raises ArtifactError where those set on site cannot be read.
    """
    site = load_site(bundle.path, manifest.model_sha256) if bundle else {}
    return {
        name: site.get(name, manifest.thresholds).scaled(camera.threshold_factor)
        for name, camera in settings.streams.items()
    }
