"""Backends: who turns a batch of frames into errors. One thread owns a backend from its making to its close."""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from core.errors import BackendError
from runtime.batch import Batch
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
    """How many batches may be under way at once. The last one is judged while the next are computed."""

    def new_batch(self) -> NDArray[np.uint8]:
        """Return an input buffer (max_batch, H, W, 3) uint8 that cameras fill in place; page-locked on a GPU."""

    def submit(self, frames_bgr_u8: NDArray[np.uint8]) -> Pending:
        """Start a batch: the first n <= max_batch rows of a buffer from `new_batch`, untouched until it is done."""

    def close(self) -> None:
        """Free what the backend holds, in order."""


class Run:
    """A batch that was handed to a backend."""

    def __init__(self, backend: Backend, batch: Batch) -> None:
        """Start `batch`."""
        self.batch = batch
        self.submitted_s = self.inferred_s = time.monotonic()
        """When it was handed over, and when its errors were there (monotonic clock)."""
        self.pending = backend.submit(batch.frames_bgr_u8)

    def wait(self) -> "Run":
        """Wait until its errors are there."""
        self.pending.errors()
        self.inferred_s = time.monotonic()
        return self


class _Running:
    def __init__(self, outputs: "Future[Any]") -> None:
        self._outputs = outputs

    def errors(self) -> NDArray[np.float32]:
        errors: NDArray[np.float32] = self._outputs.result()[0]
        return errors

    def error_maps(self) -> NDArray[np.float32]:
        maps: NDArray[np.float32] = self._outputs.result()[1]
        return maps


class OnnxBackend:
    """ONNX Runtime on the CPU, in a thread of its own: the caller judges one batch while the next is computed."""

    def __init__(self, bundle: Bundle, max_batch: int, threads: int = 0) -> None:
        """Open the bundle's graph. `threads` 0 lets ONNX Runtime use every core.

        Raises BackendError where ONNX Runtime refuses the graph.
        """
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        # The cores are shared with what decodes frames: small portions of work, and no core kept busy with waiting.
        options.add_session_config_entry("session.dynamic_block_base", "4")
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = ort.InferenceSession(str(bundle.model), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions share no base class
            raise BackendError(f"{bundle.model}: ONNX Runtime refuses it: {' '.join(str(error).split())}") from error
        self._thread = ThreadPoolExecutor(1, "inference")
        self.name = f"onnxruntime-{ort.__version__}/cpu"
        self.max_batch = max_batch
        self.depth = 1
        self._shape = (max_batch, bundle.manifest.height, bundle.manifest.width, 3)

    def new_batch(self) -> NDArray[np.uint8]:
        """See Backend."""
        return np.zeros(self._shape, np.uint8)

    def submit(self, frames_bgr_u8: NDArray[np.uint8]) -> Pending:
        """See Backend."""
        return _Running(self._thread.submit(self._session.run, [ERRORS, ERROR_MAP], {INPUT: frames_bgr_u8}))

    def close(self) -> None:
        """See Backend."""
        self._thread.shutdown()
        del self._session
