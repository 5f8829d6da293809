"""Backends: who turns a batch of frames into errors. One thread owns a backend from its making to its close."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core.errors import BackendError
from runtime.bundle import ERROR_MAP, ERRORS, INPUT, Bundle


class Pending(Protocol):
    """A batch under way."""

    def errors(self) -> NDArray[np.float32]:
        """Wait for the batch and return its errors (N, K + 1) float32."""

    def error_maps(self) -> NDArray[np.float32]:
        """Return its error maps (N, h, w) float32; asked for only where a part failed."""


class Backend(Protocol):
    """The engine behind the batches; what it says of itself is fixed when it is made."""

    name: str
    max_batch: int
    depth: int
    """How many batches may be under way at once: 1 where `submit` does the work, more where it only starts it."""

    def new_batch(self) -> NDArray[np.uint8]:
        """Return an input buffer (max_batch, H, W, 3) uint8 that cameras fill in place; page-locked on a GPU."""

    def submit(self, frames_bgr_u8: NDArray[np.uint8]) -> Pending:
        """Start a batch: the first n <= max_batch rows of a buffer from `new_batch`, untouched until it is done."""

    def close(self) -> None:
        """Free what the backend holds, in order."""


class _Done:
    def __init__(self, errors: NDArray[np.float32], maps: NDArray[np.float32]) -> None:
        self._errors, self._maps = errors, maps

    def errors(self) -> NDArray[np.float32]:
        return self._errors

    def error_maps(self) -> NDArray[np.float32]:
        return self._maps


class OnnxBackend:
    """ONNX Runtime on the CPU."""

    def __init__(self, bundle: Bundle, max_batch: int, threads: int = 0) -> None:
        """Open the bundle's graph. `threads` 0 lets ONNX Runtime use every core.

        Raises BackendError where ONNX Runtime refuses the graph.
        """
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self._session = ort.InferenceSession(str(bundle.model), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions share no base class
            raise BackendError(f"{bundle.model}: ONNX Runtime refuses it: {' '.join(str(error).split())}") from error
        self.name = f"onnxruntime-{ort.__version__}/cpu"
        self.max_batch = max_batch
        self.depth = 1
        self._shape = (max_batch, bundle.manifest.height, bundle.manifest.width, 3)

    def new_batch(self) -> NDArray[np.uint8]:
        """See Backend."""
        return np.zeros(self._shape, np.uint8)

    def submit(self, frames_bgr_u8: NDArray[np.uint8]) -> Pending:
        """See Backend. Runs at once, in the calling thread."""
        errors, maps = self._session.run([ERRORS, ERROR_MAP], {INPUT: frames_bgr_u8})
        return _Done(errors, maps)

    def close(self) -> None:
        """See Backend."""
        del self._session
