"""A simulated line: cameras that see grey and black, and an engine that draws its errors."""

import threading
import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from core.thresholds import Thresholds
from runtime.batching.fitting import fit_on_cpu
from runtime.cameras.camera import Camera
from runtime.inference.backend import Pending
from runtime.parts.frame import Frame

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
