"""The model in use: the bundle, the backend that computes it, and the thresholds in force. The one owner of all three.

It belongs to the thread that judges.
"""

from dataclasses import replace
from pathlib import Path

from runtime.bundles.bundle import Bundle
from runtime.events.origin import Origin
from runtime.inference.backend import Backend
from runtime.inference.detector import Detector, open_detector, reopen, thresholds_in_force
from runtime.settings import InspectionSettings


class ModelInUse:
    """Changes only between two batches, by `use`."""

    def __init__(
        self, settings: InspectionSettings, backend: Backend, origin: Origin, bundle: Bundle | None = None
    ) -> None:
        """`bundle` is None in a simulation. Raises ArtifactError where thresholds set on site cannot be read."""
        self.backend = backend
        self.origin = origin
        """Who judges: what events tell of the station, the run and the model."""
        self.bundle = bundle
        self._factors = settings.threshold_factors
        self._asked = settings.bundle_key, settings.backend, settings.batching.max_batch
        self.thresholds = thresholds_in_force(self._factors, origin.manifest, bundle)
        """By camera."""

    def open(self, path: Path) -> Detector:
        """Open the bundle at `path` as the one in use was; takes its time. Raises ArtifactError or BackendError."""
        return open_detector(path, *self._asked)

    def reopen(self) -> Backend:
        """Open another backend for the bundle in use; takes its time. Raises ArtifactError or BackendError."""
        return reopen(self.bundle, *self._asked)

    def use(self, backend: Backend, bundle: Bundle | None) -> None:
        """Close the backend in use and go on with `backend`, which computes `bundle`."""
        self.backend.close()
        manifest = self.origin.manifest if bundle is None else bundle.manifest
        self.backend, self.bundle = backend, bundle
        self.origin = replace(self.origin, manifest=manifest, backend=backend.name, engine_sha256=backend.engine_sha256)
        self.read_thresholds()

    def read_thresholds(self) -> None:
        """Put in force what was set on site. Raises ArtifactError where it cannot be read."""
        self.thresholds = thresholds_in_force(self._factors, self.origin.manifest, self.bundle)
