"""The GPU with an engine in it, through pycuda and either TensorRT: slots, and what is done in them.

All of this runs on one thread, the one that made it: CUDA's context belongs to it.
"""

import contextlib
import logging
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import BackendError
from runtime.bundles.manifest import ERROR_MAP, ERRORS, INPUT
from runtime.inference import gpu
from runtime.inference.engine_fit import import_api

log = logging.getLogger(__name__)
NON_BLOCKING = 1
"""CU_STREAM_NON_BLOCKING: nobody else's work on the default stream is waited for."""


class Device:
    """The GPU with an engine in it. Everything here runs on the one thread that made it."""

    def __init__(self, plan: Path, api: str, buffer: tuple[int, ...], slots: int) -> None:
        """Load the engine file `plan`, with so many `slots` for input buffers of the shape `buffer`."""
        import pycuda.driver as cuda

        self.cuda, self.buffer, self.slots = cuda, buffer, list[Slot]()
        self._trt = trt = import_api(api)
        self._is_rtx = api == "tensorrt_rtx"
        self.complaints: deque[str] = deque(maxlen=3)
        """What TensorRT said last that was an error."""
        self.engine: Any = None
        self._runtime: Any = None
        self._logger: Any = None
        cuda.init()
        # The primary context is shared with whoever else in the process uses CUDA.
        self._context = cuda.Device(0).retain_primary_context()
        try:
            with self.current():
                self._logger = _logger(trt, self.complaints)
                self._runtime = trt.Runtime(self._logger)
                content = plan.read_bytes()
                self.engine = self._runtime.deserialize_cuda_engine(content)
                if self.engine is None:
                    raise BackendError(f"{plan}: {api} {trt.__version__} refuses it ({self._why_refused(content)}).")
                for _ in range(slots):
                    self.new_slot()
        except BaseException:
            self.close()
            raise

    @contextlib.contextmanager
    def current(self) -> Iterator[None]:
        """Make the context current for one step, whatever is done on the GPU.

        It is taken off again, because pycuda aborts the process where a thread ends with a context on its stack.
        """
        self._context.push()
        try:
            yield
        finally:
            self._context.pop()

    def new_slot(self) -> "Slot":
        """Make a slot and let it judge once, so that the first real batch is not the one that waits for compilers."""
        slot = Slot(self)
        slot.start(self.buffer[0])
        slot.finish(self.buffer[0])
        return slot

    def new_execution_context(self) -> Any:
        """Make an execution context, with CUDA graphs where the API captures them by itself."""
        if self._is_rtx:
            config = self.engine.create_runtime_config()
            config.cuda_graph_strategy = self._trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
            return self.engine.create_execution_context(config)
        # Full TensorRT leaves the capture of a stream to its caller, and pycuda 2026.1 has no calls for that.
        return self.engine.create_execution_context()

    def close(self) -> None:
        """Free everything, last made first freed; after a CUDA error much of it fails, which changes nothing."""
        with contextlib.suppress(Exception), self.current():
            for slot in reversed(self.slots):
                slot.free()
            self.engine = None
            self._runtime = None
            self._logger = None
        with contextlib.suppress(Exception):
            self._context.detach()

    def _why_refused(self, content: bytes) -> str:
        reasons = list(self.complaints)
        if self._is_rtx:
            validity, diagnostics = self._runtime.get_engine_validity(content)
            reasons.insert(0, f"{validity}, diagnostics {diagnostics}")
        return "; ".join(reasons) or "it does not say why"


class Slot:
    """An input buffer with all that its batches need."""

    def __init__(self, device: Device) -> None:
        """Reserve it. Frames (max_batch, H, W, 3) and errors (max_batch, K + 1) are page-locked."""
        self._device, cuda = device, device.cuda
        self._context: Any = None
        self._memory: dict[str, Any] = {}
        self._locked: list[NDArray[Any]] = []
        self._stream: Any = cuda.Stream(NON_BLOCKING)
        device.slots.append(self)  # from here on it is freed with the others, however far it came
        rows = device.buffer[0]
        outputs, self._map_size = (tuple(device.engine.get_tensor_shape(name))[1:] for name in (ERRORS, ERROR_MAP))
        self.frames: NDArray[np.uint8] = self._lock(device.buffer, np.uint8)
        self._errors: NDArray[np.float32] = self._lock((rows, *outputs), np.float32)
        self._memory[INPUT] = cuda.mem_alloc(self.frames.nbytes)
        self._memory[ERRORS] = cuda.mem_alloc(self._errors.nbytes)
        self._memory[ERROR_MAP] = cuda.mem_alloc(rows * int(np.prod(self._map_size)) * self._errors.itemsize)
        self._context = device.new_execution_context()
        self._require(self._context is not None, "no execution context")
        self._require(self._context.set_optimization_profile_async(0, self._stream.handle), "the profile is refused")
        for name, memory in self._memory.items():
            self._require(self._context.set_tensor_address(name, int(memory)), f"`{name}` is refused")

    def start(self, rows: int) -> None:
        """Enqueue the first `rows` rows: copy them over, compute, copy the errors back. Returns at once."""
        self._device.cuda.memcpy_htod_async(self._memory[INPUT], self.frames[:rows], self._stream)
        self.compute(rows)
        self._device.cuda.memcpy_dtoh_async(self._errors[:rows], self._memory[ERRORS], self._stream)

    def compute(self, rows: int) -> None:
        """Enqueue the computing alone, of `rows` rows that are on the GPU."""
        shape = (rows, *self.frames.shape[1:])
        self._require(self._context.set_input_shape(INPUT, shape), "the batch size is refused")
        self._require(self._context.execute_async_v3(self._stream.handle), "it does not compute")

    def finish(self, rows: int) -> NDArray[np.float32]:
        """Wait for what was started, and give the errors (rows, K + 1)."""
        self._stream.synchronize()
        return np.array(self._errors[:rows])

    def read_maps(self, rows: int) -> NDArray[np.float32]:
        """Copy the error maps (rows, h, w) of what was finished."""
        maps = np.empty((rows, *self._map_size), np.float32)
        self._device.cuda.memcpy_dtoh_async(maps, self._memory[ERROR_MAP], self._stream)
        self._stream.synchronize()
        return maps

    def free(self) -> None:
        """Wait for what is under way, then let go of the context, the memory and the stream, in this order."""
        with contextlib.suppress(Exception):
            self._stream.synchronize()
        self._context = None
        for memory in self._memory.values():
            with contextlib.suppress(Exception):
                memory.free()
        for locked in self._locked:
            with contextlib.suppress(Exception):
                gpu.page_unlock(locked)
        self._memory, self._stream = {}, None

    def _lock(self, shape: tuple[int, ...], dtype: type) -> NDArray[Any]:
        self._locked.append(gpu.page_lock(shape, dtype))
        return self._locked[-1]

    def _require(self, is_done: bool, problem: str) -> None:
        if not is_done:
            raise RuntimeError("; ".join([problem, *self._device.complaints]))


def _logger(trt: Any, complaints: deque[str]) -> Any:
    """A logger that passes on what is worth a line, and keeps errors for whoever asks why."""
    levels = {trt.ILogger.INTERNAL_ERROR: logging.ERROR, trt.ILogger.ERROR: logging.ERROR}
    levels[trt.ILogger.WARNING] = logging.WARNING

    class Logger(trt.ILogger):  # type: ignore[misc] # known only now
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            level = levels.get(severity)
            if level is not None:
                log.log(level, "tensorrt says=%r", message)
            if level == logging.ERROR:
                complaints.append(message)

    return Logger()
