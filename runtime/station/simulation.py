"""A simulation: an inspection whose cameras and verdicts are invented, so that the MES side can be built first.

All behind the verdict (events, outbox, topics, counters) is the real thing; every event says `simulated: true`.
"""

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.thresholds import Thresholds
from core.timestamps import rfc3339
from runtime.bundles.manifest import MODEL, Manifest
from runtime.bundles.site_thresholds import SiteThresholds
from runtime.cameras.camera import Camera
from runtime.cameras.settings import FolderSettings
from runtime.events.origin import Origin
from runtime.inference.backend import Pending
from runtime.inference.model_in_use import ModelInUse
from runtime.parts.frame import Frame
from runtime.settings import InspectionSettings
from runtime.station.assembly import connect
from runtime.station.inspection import Inspection

NOT_OK_SHARE = 0.05
"""Of the simulated parts with a picture."""
BLACK_SHARE = 0.02
"""Simulated parts whose picture is black, hence NotDecidable."""
SIZE = 16
GRID = 3


class SimulatedCamera(Camera):
    """Grey frames, some of them black."""

    def __init__(self, parts: int | None, seed: int) -> None:
        """Give `parts` frames; None: for ever."""
        self.frames_total = parts
        self._chance = np.random.default_rng(seed)

    def frames(self, stopping: threading.Event) -> Iterator[Frame]:
        """See Camera. The feed keeps the rate."""
        lit, black = np.full((480, 640, 3), 128, np.uint8), np.zeros((480, 640, 3), np.uint8)
        number = 0
        while number != self.frames_total and not stopping.is_set():
            number += 1
            yield Frame(black if self._chance.random() < BLACK_SHARE else lit, time.time(), time.monotonic())


class SimulatedBackend:
    """Errors as a line of mostly good parts would give them; a bad part fails in one tile."""

    name = "simulated"
    engine_sha256: str | None = None
    depth = 1

    def __init__(self, thresholds: Thresholds, max_batch: int, seed: int) -> None:
        """Draw errors around `thresholds`."""
        self.max_batch = max_batch
        self._thresholds = np.asarray(thresholds.values)
        self._chance = np.random.default_rng(seed)

    def new_batch(self) -> NDArray[np.uint8]:
        """See Backend."""
        return np.zeros((self.max_batch, SIZE, SIZE, 3), np.uint8)

    def submit(self, frames_bgr_u8: NDArray[np.uint8]) -> Pending:
        """See Backend."""
        parts = len(frames_bgr_u8)
        shares = np.minimum(self._chance.lognormal(np.log(0.55), 0.15, (parts, GRID**2 + 1)), 0.99)
        for part in np.flatnonzero(self._chance.random(parts) < NOT_OK_SHARE):
            shares[part, self._chance.integers(1, GRID**2 + 1)] = 1 + self._chance.exponential(0.8)
        return _Drawn((shares * self._thresholds).astype(np.float32))

    def close(self) -> None:
        """See Backend."""


class _Drawn:
    def __init__(self, errors: NDArray[np.float32]) -> None:
        self._errors = errors

    def errors(self) -> NDArray[np.float32]:
        return self._errors

    def error_maps(self) -> NDArray[np.float32]:
        tiles = self._errors[:, 1:].reshape(-1, GRID, GRID)
        return np.asarray(np.kron(tiles, np.ones((1, 4, 4), np.float32)))


@contextmanager
def open_simulation(settings: InspectionSettings, rate_per_s: float, parts: int | None) -> Iterator[Inspection]:
    """Open a simulation of the station that `settings` describe; its bundle and cameras need not be there.

    `rate_per_s` parts a second and `parts` in all (None: until stopped) for each camera. Raises PwaeError where the
    outbox or the broker's settings are at fault.
    """
    manifest = invented_manifest()
    idle = FolderSettings(kind="folder", path=Path(), max_fps=rate_per_s)
    settings = settings.model_copy(update={"cameras": dict.fromkeys(settings.streams, idle)})
    seed = np.random.SeedSequence().generate_state(len(settings.cameras) + 1).tolist()
    cameras = {name: SimulatedCamera(parts, seed.pop()) for name in settings.cameras}
    backend = SimulatedBackend(manifest.thresholds, settings.batching.max_batch, seed.pop())
    origin = Origin(settings.station, str(uuid.uuid4()), backend.name, manifest, simulated=True)
    model = ModelInUse(backend, origin, None, settings.asked, SiteThresholds(settings.threshold_factors))
    with connect(settings, cameras, model) as inspection:
        yield inspection


def invented_manifest() -> Manifest:
    """Of no bundle: what events tell of the model that would have judged."""
    thresholds = Thresholds(
        values=(0.31, 0.39, 0.35, 0.38, 0.36, 0.28, 0.35, 0.41, 0.36, 0.4),
        false_reject_rate=0.01,
        false_reject_expected=0.01,
        false_reject_upper=0.02,
        parts=400,
    )
    return Manifest(
        name="simulated",
        created=rfc3339(time.time()),
        height=SIZE,
        width=SIZE,
        grid=GRID,
        precision="fp32",
        score_unit="1 - cosine of features, 1 is usual of a good part",
        thresholds=thresholds,
        provenance={},
        files={MODEL: "0" * 64},
    )
