"""The GPU with an engine in it, through pycuda and either TensorRT.

All of this runs on one thread, the one that made it: CUDA's context belongs to it.
"""

import contextlib
import itertools
import logging
import math
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.errors import BackendError
from runtime.bundles.manifest import ERROR_MAP, ERRORS, INPUT
from runtime.inference.engine_fit import import_api, made
from runtime.inference.kernel_cache import read_cache, write_cache
from runtime.inference.tensorrt_lane import NON_BLOCKING, Lane, Slot

log = logging.getLogger(__name__)
FLOAT_BYTES = 4


class Device:
    """The GPU with an engine in it. Everything here runs on the one thread that made it."""

    def __init__(self, plan: Path, api: str, buffer: tuple[int, ...], lanes: int, slots: int, ordinal: int = 0) -> None:
        """Load the engine file `plan` onto a GPU, by CUDA's count, with so many `lanes`, and `slots` of shape `buffer`.

        Raises BackendError where the engine is refused, or the GPU has not the memory for it.
        """
        import pycuda.driver as cuda

        self.cuda, self.buffer = cuda, buffer
        self.lanes, self.slots = list[Lane](), list[Slot]()
        self._trt = trt = import_api(api)
        self.is_rtx = api == "tensorrt_rtx"
        self.complaints: deque[str] = deque(maxlen=3)
        """What TensorRT said last that was an error."""
        self.engine: Any = None
        self.aside: Any = None
        """A stream for what nobody waits for."""
        self._runtime: Any = None
        self._logger: Any = None
        self._config: Any = None
        self._cache: Any = None
        self._cache_name = f"{plan.stem}-{trt.__version__}.kernels"
        cuda.init()
        # The primary context is shared with whoever else in the process uses CUDA.
        self._context = cuda.Device(ordinal).retain_primary_context()
        try:
            with self.current():
                self._load(plan, api)
                self.aside = cuda.Stream(NON_BLOCKING)
                self.memory = self._require_memory(lanes, slots)
                for _ in range(lanes):
                    Lane(self)
                self._rotation = itertools.cycle(self.lanes)
                for _ in range(slots):
                    Slot(self)
                for lane in self.lanes:
                    lane.warm_up()
                if self._cache is not None:
                    write_cache(self._cache_name, bytes(self._cache.serialize()))
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

    def next_lane(self) -> Lane:
        """Give the lanes in turn: with no more batches under way than lanes, that one is free."""
        return next(self._rotation)

    def new_context(self, scratch: Any = None) -> Any:
        """Make an execution context; `scratch` is memory of `scratch_bytes` that it may use, else it has its own."""
        if self._config is not None:
            context = self.engine.create_execution_context(self._config)
        else:
            context = self.engine.create_execution_context(self._trt.ExecutionContextAllocationStrategy.USER_MANAGED)
        if context is None:
            raise RuntimeError("; ".join(["no execution context", *self.complaints]))
        if scratch is not None:
            context.set_device_memory(int(scratch), self.scratch_bytes)
        return context

    def close(self) -> None:
        """Free everything, last made first freed; after a CUDA error much of it fails, which changes nothing."""
        with contextlib.suppress(Exception), self.current():
            for lane in reversed(self.lanes):
                lane.free()
            for slot in reversed(self.slots):
                slot.free()
            self.aside = self._cache = self._config = None
            self.engine = None
            self._runtime = None
            self._logger = None
        with contextlib.suppress(Exception):
            self._context.detach()

    def _load(self, plan: Path, api: str) -> None:
        trt = self._trt
        self._logger = _logger(trt, self.complaints)
        self._runtime = made(trt, trt.Runtime, self._logger)
        content = plan.read_bytes()
        self.engine = engine = self._runtime.deserialize_cuda_engine(content)
        if engine is None:
            raise BackendError(f"{plan}: {api} {trt.__version__} refuses it ({self._why_refused(content)}).")
        self.shapes = {name: tuple(engine.get_tensor_shape(name))[1:] for name in (ERRORS, ERROR_MAP)}
        floats = {name: math.prod(shape) * FLOAT_BYTES for name, shape in self.shapes.items()}
        self.row_bytes = {INPUT: math.prod(self.buffer[1:]), **floats}
        """Of one row of each tensor."""
        self.scratch_bytes = int(engine.device_memory_size_v2)
        """What an execution context computes in."""
        if self.is_rtx:
            self._config = self._rtx_config()

    def _rtx_config(self) -> Any:
        """CUDA graphs of every size, kernels compiled for each size before it is used, and kept for the next start."""
        config = self.engine.create_runtime_config()
        config.cuda_graph_strategy = self._trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        config.dynamic_shapes_kernel_specialization_strategy = self._trt.DynamicShapesKernelSpecializationStrategy.EAGER
        self._cache = config.create_runtime_cache()
        kept = read_cache(self._cache_name)
        if kept and not self._cache.deserialize(kept):
            log.info("kernels kept for another GPU or driver are compiled anew file=%s", self._cache_name)
        config.set_runtime_cache(self._cache)
        return config

    def _require_memory(self, lanes: int, slots: int) -> str:
        """Say what is needed and what is free. Raises BackendError where it is not enough."""
        rows = self.buffer[0]
        needed = lanes * (self.scratch_bytes + rows * sum(self.row_bytes.values()))
        needed += slots * rows * self.row_bytes[ERROR_MAP]
        free, total = self.cuda.mem_get_info()
        told = f"needs {needed / 1e9:.2f} GB of the GPU's memory, {free / 1e9:.2f} of {total / 1e9:.2f} GB were free"
        if needed > free:
            raise BackendError(
                f"a batch of {rows} {told}: lower batching.max_batch, or end what else uses the GPU (nvidia-smi)."
            )
        return told

    def _why_refused(self, content: bytes) -> str:
        reasons = list(self.complaints)
        if self.is_rtx:
            validity, diagnostics = self._runtime.get_engine_validity(content)
            reasons.insert(0, f"{validity}, diagnostics {diagnostics}")
        return "; ".join(reasons) or "it does not say why"


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
