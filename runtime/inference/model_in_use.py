"""The model in use: the bundle, the backend that computes it, and the thresholds in force. The one owner of all three.

It belongs to the thread that judges.
"""

import uuid
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.errors import ConfigError
from core.pictures.geometry import Pose, Roi
from core.thresholds import Thresholds
from runtime.bundles.bundle import Bundle
from runtime.bundles.site_thresholds import SiteThresholds
from runtime.events.origin import Origin
from runtime.inference.backend import Backend
from runtime.inference.detector import Asked, Detector, open_detector, reopen
from runtime.inference.recovery import Recovery
from runtime.inference.thresholds_in_force import ThresholdsInForce
from runtime.parts.layout import Layout
from runtime.parts.part import Picture


class ModelInUse:
    """Changes only between two batches, by `use`."""

    def __init__(
        self,
        backend: Backend,
        origin: Origin,
        bundle: Bundle | None,
        asked: Asked,
        site: SiteThresholds,
        on_site: Mapping[str, Thresholds] | None = None,
    ) -> None:
        """`bundle` is None in a simulation; `site` keeps thresholds that are set on site, `on_site` are those now."""
        self.backend = backend
        self.origin = origin
        """Who judges: what events tell of the station, the run and the model."""
        self.bundle = bundle
        self.site = site
        self.recovery = Recovery(self.reopen)
        self._asked = asked
        self.thresholds = ThresholdsInForce(origin.manifest, on_site or {}, site.factors)

    @property
    def buffers(self) -> int:
        """How many buffers keep the backend busy: those under way, one that is filled, one that is read."""
        return self.backend.depth + 2

    def fit(
        self,
        pixels_u8: NDArray[np.uint8],
        layout: Layout,
        row: NDArray[np.uint8],
        roi: Roi | None = None,
        pose: Pose | None = None,
    ) -> Picture:
        """Fit as the backend in use does; on any thread. See Fit."""
        return self.backend.fit(pixels_u8, layout, row, roi, pose)

    def require_bundle(self) -> Bundle:
        """Give the bundle. Raises ConfigError where there is none."""
        if self.bundle is None:
            raise ConfigError("a simulation has no bundle.")
        return self.bundle

    def open(self, path: Path) -> Detector:
        """Open the bundle at `path` as the one in use was; takes its time. Raises ArtifactError or BackendError."""
        return open_detector(path, *self._asked, self.site)

    def reopen(self) -> Backend:
        """Open another backend for the bundle in use; takes its time. Raises ArtifactError or BackendError.

        It is of the same kind: what `auto` chose stays, or a GPU that was away for a moment would not be used again.
        """
        key, settings, max_batch = self._asked
        return reopen(self.bundle, key, settings.model_copy(update={"kind": self.backend.kind}), max_batch)

    def use(self, detector: Detector) -> None:
        """Close what is in use and go on with another bundle, in its backend."""
        self.bundle = detector.bundle
        self.use_backend(detector.backend)
        self.origin = replace(self.origin, manifest=detector.bundle.manifest)
        self.thresholds = ThresholdsInForce(detector.bundle.manifest, detector.site, self.site.factors)

    def use_backend(self, backend: Backend) -> None:
        """Close the backend in use and go on with another, which computes the bundle in use."""
        self.backend.close()
        self.backend = backend
        self.origin = replace(self.origin, backend=backend.name, engine_sha256=backend.engine_sha256)

    def close(self) -> None:
        """Close the backend in use."""
        self.backend.close()


def open_model(
    station: str,
    path: Path,
    asked: Asked,
    site: SiteThresholds,
    recipe: str | None = None,
    boot_id: str | None = None,
) -> ModelInUse:
    """Open the bundle at `path` for a run of `station`, to judge `recipe` (see Origin); `boot_id` None: a new run.

    Raises ArtifactError or BackendError.
    """
    detector = open_detector(path, *asked, site)
    backend, manifest = detector.backend, detector.bundle.manifest
    run = boot_id or str(uuid.uuid4())
    origin = Origin(station, run, backend.name, manifest, engine_sha256=backend.engine_sha256, recipe=recipe)
    return ModelInUse(backend, origin, detector.bundle, asked, site, detector.site)
