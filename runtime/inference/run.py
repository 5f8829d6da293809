"""An inference run: one batch under way in a backend, with its times and its fault."""

import contextlib
import time

import numpy as np
from numpy.typing import NDArray

from runtime.batching.batch import Batch
from runtime.inference.backend import Backend, BackendFault


class InferenceRun:
    """A batch that was handed to a backend."""

    def __init__(self, backend: Backend, batch: Batch) -> None:
        """Start `batch`."""
        self.batch = batch
        self.fault: str | None = None
        """Why its parts cannot be judged, where the engine failed."""
        self.is_sticky = False
        """Whether that fault may stay with the process."""
        self.errors: NDArray[np.float32] = np.full((len(batch.parts), 1), np.nan, np.float32)
        """(N, K + 1) once it is done; without meaning where there is a fault."""
        self.submitted_s = self.inferred_s = time.monotonic()
        """When it was handed over, and when its errors were there (monotonic clock)."""
        self._pending = backend.submit(batch.frames_bgr_u8)

    def wait(self) -> "InferenceRun":
        """Wait until its errors are there, or are known never to come."""
        try:
            self.errors = self._pending.errors()
        except BackendFault as fault:
            self.fault, self.is_sticky = str(fault), fault.is_sticky
        self.inferred_s = time.monotonic()
        return self

    def error_maps(self) -> NDArray[np.float32] | None:
        """Give its error maps (N, h, w); None where the engine failed."""
        if self.fault is None:
            with contextlib.suppress(BackendFault):  # the errors stand, and the next batch meets the fault
                return self._pending.error_maps()
        return None
