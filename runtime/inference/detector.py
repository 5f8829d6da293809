"""A detector: a bundle with the backend that runs it, opened, compared with the bundle's own answers, and warm."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import ArtifactError, BackendError
from core.thresholds import Thresholds, differences
from runtime.bundles.bundle import Bundle, load_bundle
from runtime.bundles.known_pictures import TOLERANCE, KnownPictures, load_known_pictures
from runtime.bundles.manifest import Manifest
from runtime.bundles.site_thresholds import SiteThresholds
from runtime.inference.backend import Backend, BackendFault, batch_sizes
from runtime.inference.selection import open_backend
from runtime.inference.settings import BackendSettings

Asked = tuple[Path | None, BackendSettings, int]
"""How a bundle is opened: the key that it is signed with, who is to compute it, the largest batch."""
LEEWAY = 5
"""What the export allows is measured on one machine: an engine that computes something else is off by far more."""


@dataclass(frozen=True)
class Detector:
    """A bundle with its backend, opened and warm."""

    bundle: Bundle
    backend: Backend
    site: Mapping[str, Thresholds]
    """Thresholds that were set on site, by camera."""


def open_detector(
    path: Path,
    key: Path | None,
    backend: BackendSettings,
    max_batch: int,
    site: SiteThresholds | None = None,
) -> Detector:
    """Open the bundle at `path`, signed with `key` where one is given, with the backend that is asked for.

    It has judged one batch of up to `max_batch` parts. `site` reads what was set on site; None: the bundle's alone.

    Raises ArtifactError or BackendError.
    """
    bundle = load_bundle(path, key)
    on_site = site.load(bundle) if site is not None else {}
    return Detector(bundle, _open(bundle, backend, max_batch), on_site)


def reopen(bundle: Bundle | None, key: Path | None, backend: BackendSettings, max_batch: int) -> Backend:
    """Open a backend for the very bundle that is in use. Raises ArtifactError or BackendError."""
    if bundle is None:
        raise BackendError("a simulation has no engine.")
    if load_bundle(bundle.path, key).manifest != bundle.manifest:
        raise ArtifactError(f"{bundle.path}: there is another bundle now; send `reload`, or restart.")
    return _open(bundle, backend, max_batch)


def _open(bundle: Bundle, settings: BackendSettings, max_batch: int) -> Backend:
    """Open a backend that answers the bundle's known pictures as the trained model did."""
    known = load_known_pictures(bundle)
    backend = open_backend(settings, bundle, max_batch)
    if known is None:
        return backend
    try:
        _require_known_answers(backend, bundle.manifest, known)
    except BaseException:
        backend.close()
        raise
    return backend


def _require_known_answers(backend: Backend, manifest: Manifest, known: KnownPictures) -> None:
    """Raise BackendError where a backend is not the detector that was trained: lower precision is never so far off.

    On a GPU every size of batch is asked, each having kernels of its own: TensorRT for RTX 1.6.1 on an H200, which it
    does not name, gave errors of 1.1 to 6 times the right ones with kernels specialised to a size.
    """
    batch, pictures = backend.new_batch(), len(known.errors)
    sizes = (1,) if backend.kind == "onnxruntime-cpu" else batch_sizes(backend.max_batch)
    for size in sizes:
        for first in range(0, pictures, size):
            shown = np.arange(first, first + size) % pictures
            batch[:size] = known.frames_bgr_u8[shown]
            try:
                errors = backend.submit(batch[:size]).errors()
            except BackendFault as fault:
                raise BackendError(f"{backend.name} fails at once: {fault}") from fault
            difference = differences(errors, known.errors[shown], manifest.thresholds).max()
            if not difference <= LEEWAY * TOLERANCE[manifest.precision]:
                raise BackendError(
                    f"{backend.name} judges a picture differently from what the bundle says, in a batch of {size}: "
                    f"an error is off by {difference:.2g} of its threshold; build its engine again, or set "
                    "another backend.kind."
                )
