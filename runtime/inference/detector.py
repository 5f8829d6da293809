"""A model in use: a bundle, the backend that runs it, and the thresholds in force for each camera."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import ArtifactError, BackendError
from core.thresholds import Thresholds, ratios
from runtime.bundles.bundle import Bundle, load_bundle
from runtime.bundles.known_pictures import TOLERANCE, KnownPictures, load_known_pictures
from runtime.bundles.manifest import Manifest
from runtime.bundles.site_thresholds import load_site
from runtime.inference.backend import Backend, BackendFault
from runtime.inference.selection import open_backend
from runtime.settings import InspectionSettings

LEEWAY = 5
"""What the export allows is measured on one machine: an engine that computes something else is off by far more."""


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
    load_site(path, bundle.manifest)
    return Detector(bundle, _open(settings, bundle))


def reopen(settings: InspectionSettings, bundle: Bundle | None) -> Backend:
    """Open a backend for the very bundle that is in use. Raises ArtifactError or BackendError."""
    if bundle is None:
        raise BackendError("a simulation has no engine.")
    if load_bundle(bundle.path, settings.bundle_key).manifest != bundle.manifest:
        raise ArtifactError(f"{bundle.path}: another bundle lies there now; send `reload`, or restart.")
    return _open(settings, bundle)


def _open(settings: InspectionSettings, bundle: Bundle) -> Backend:
    """Open a backend that answers the bundle's known pictures as the trained model did."""
    known = load_known_pictures(bundle)
    backend = open_backend(settings.backend, bundle, settings.batching.max_batch)
    if known is None:
        return backend
    try:
        _require_known_answers(backend, bundle.manifest, known)
    except BaseException:
        backend.close()
        raise
    return backend


def _require_known_answers(backend: Backend, manifest: Manifest, known: KnownPictures) -> None:
    """Raise BackendError where a backend is not the detector that was trained: lower precision is never so far off."""
    batch = backend.new_batch()
    for frame, answer in zip(known.frames_bgr_u8, known.errors, strict=True):
        batch[0] = frame
        try:
            errors = backend.submit(batch[:1]).errors()[0]
        except BackendFault as fault:
            raise BackendError(f"{backend.name} fails at once: {fault}") from fault
        expected = ratios(answer, manifest.thresholds)
        difference = (np.abs(ratios(errors, manifest.thresholds) - expected) / np.maximum(expected, 1)).max()
        if not difference <= LEEWAY * TOLERANCE[manifest.precision]:
            raise BackendError(
                f"{backend.name} judges a picture of which the bundle knows the answer otherwise: an error is off by "
                f"{difference:.2g} of its threshold; build its engine anew, or set another backend.kind."
            )


def thresholds_in_force(
    settings: InspectionSettings, manifest: Manifest, bundle: Bundle | None
) -> dict[str, Thresholds]:
    """By camera: those that were set on site, else the bundle's, times the camera's factor.

    Raises ArtifactError where those set on site cannot be read.
    """
    site = load_site(bundle.path, manifest) if bundle else {}
    return {
        name: site.get(name, manifest.thresholds).scaled(camera.threshold_factor)
        for name, camera in settings.streams.items()
    }
