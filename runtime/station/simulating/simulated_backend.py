"""A simulated engine: it draws its errors."""

import hashlib
import time

import numpy as np
from numpy.typing import NDArray

from core.thresholds import Thresholds
from core.timestamps import rfc3339
from runtime.batching.fitting import fit_on_cpu
from runtime.bundles.manifest import MODEL, Manifest
from runtime.inference.backend import Pending
from runtime.station.simulating.scenario import NOT_OK_SHARE

SIZE = 16
GRID = 3


class SimulatedBackend:
    """Errors as a line of mostly good parts would give them; a bad part fails in one tile."""

    name = kind = "simulated"
    engine_sha256: str | None = None
    gpu_memory = ""
    depth = 1
    fit = staticmethod(fit_on_cpu)

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
        return Drawn((shares * self._thresholds).astype(np.float32))

    def close(self) -> None:
        """See Backend."""


class Drawn:
    """See Pending."""

    def __init__(self, errors: NDArray[np.float32]) -> None:
        """Give these errors (N, K + 1)."""
        self._errors = errors

    def errors(self) -> NDArray[np.float32]:
        """See Pending."""
        return self._errors

    def error_maps(self) -> NDArray[np.float32]:
        """See Pending."""
        tiles = self._errors[:, 1:].reshape(-1, GRID, GRID)
        return np.asarray(np.kron(tiles, np.ones((1, 4, 4), np.float32)))


def invented_manifest(recipe: str | None = None) -> Manifest:
    """Of no bundle: what events tell of the model that would have judged a recipe."""
    thresholds = Thresholds(
        values=(0.31, 0.39, 0.35, 0.38, 0.36, 0.28, 0.35, 0.41, 0.36, 0.4),
        false_reject_rate=0.01,
        false_reject_expected=0.01,
        false_reject_upper=0.02,
        parts=400,
    )
    return Manifest(
        name="simulated" if recipe is None else f"simulated {recipe}",
        created=rfc3339(time.time()),
        height=SIZE,
        width=SIZE,
        grid=GRID,
        precision="fp32",
        score_unit="distance of features, 1 is usual of a good part",
        thresholds=thresholds,
        provenance={},
        files={MODEL: "0" * 64 if recipe is None else hashlib.sha256(recipe.encode()).hexdigest()},
    )
