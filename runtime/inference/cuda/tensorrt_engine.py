"""An engine file as either TensorRT has loaded it: its tensors, its execution contexts, its kept kernels."""

import logging
import math
from collections import deque
from pathlib import Path
from typing import Any

from core.errors import BackendError
from runtime.bundles.manifest import ERROR_MAP, ERRORS, INPUT
from runtime.inference.cuda.engine_fit import import_api, made
from runtime.inference.cuda.kernel_cache import read_cache, write_cache

log = logging.getLogger(__name__)
FLOAT_BYTES = 4


class LoadedEngine:
    """On the thread, and in the CUDA context, in which it was loaded."""

    def __init__(self, plan: Path, content: bytes, api: str, frame_bytes: int) -> None:
        """Load the engine `content` of the file `plan`, whose input has `frame_bytes` a row.

        Raises BackendError where it is refused.
        """
        self._trt = trt = import_api(api)
        self.is_rtx = api == "tensorrt_rtx"
        self.complaints: deque[str] = deque(maxlen=3)
        """What TensorRT said last that was an error."""
        self._cache_name = f"{plan.stem}-{trt.__version__}.kernels"
        # TensorRT keeps no reference to its logger, nor an engine to its runtime.
        self._logger = _logger(trt, self.complaints)
        self._runtime = made(trt, trt.Runtime, self._logger)
        self.engine: Any = self._runtime.deserialize_cuda_engine(content)
        if self.engine is None:
            raise BackendError(f"{plan}: {api} {trt.__version__} refuses it ({self._why_refused(content)}).")
        self.shapes = {name: tuple(self.engine.get_tensor_shape(name))[1:] for name in (ERRORS, ERROR_MAP)}
        floats = {name: math.prod(shape) * FLOAT_BYTES for name, shape in self.shapes.items()}
        self.row_bytes = {INPUT: frame_bytes, **floats}
        """Of one row of each tensor."""
        self.scratch_bytes = int(self.engine.device_memory_size_v2)
        """What an execution context computes in."""
        self._cache: Any = None
        self._config: Any = self._rtx_config() if self.is_rtx else None

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

    def keep_kernels(self) -> None:
        """Write what TensorRT for RTX has compiled, for the next start."""
        if self._cache is not None:
            write_cache(self._cache_name, bytes(self._cache.serialize()))

    def free(self) -> None:
        """Free everything, last made first."""
        self._cache = self._config = None
        self.engine = None
        self._runtime = None
        self._logger = None

    def _rtx_config(self) -> Any:
        """CUDA graphs of every size, kernels compiled for each size before it is used, and kept for the next start."""
        config = self.engine.create_runtime_config()
        config.cuda_graph_strategy = self._trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        config.dynamic_shapes_kernel_specialization_strategy = self._trt.DynamicShapesKernelSpecializationStrategy.EAGER
        self._cache = config.create_runtime_cache()
        kept = read_cache(self._cache_name)
        if kept and not self._cache.deserialize(kept):
            log.info("kernels kept for another GPU or driver are compiled again file=%s", self._cache_name)
        config.set_runtime_cache(self._cache)
        return config

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
