"""TensorRT, and TensorRT for RTX, through pycuda: one code path for both.

One thread, the backend's own, holds the CUDA context and all that lives in it, from first to last: cameras and the
judging thread hand it work and wait. Each batch under way has a lane (stream, memory, execution context), so that the
copy of one, the computing of the next and the read-back of a third overlap; buffers share the lanes. Only the errors
come back, (N, K + 1) floats; error maps stay on the GPU until they are asked for.
"""

import contextlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.errors import BackendError, one_line
from runtime.batching.fitting import Fit, fit_on_cpu
from runtime.bundles.bundle import Bundle
from runtime.bundles.manifest import Engine
from runtime.inference.backend import SPARE, BackendFault, Pending, require_batch
from runtime.inference.cuda import gpu
from runtime.inference.cuda.gpu_fit import GpuFit
from runtime.inference.cuda.tensorrt_device import Device
from runtime.inference.cuda.tensorrt_lane import Slot
from runtime.inference.settings import FramesOn

T = TypeVar("T")


class TensorRtBackend:
    """Computes an engine with two batches under way, on the thread that made it, until `close`."""

    kind = "tensorrt"
    depth = 2

    def __init__(
        self, bundle: Bundle, engine: Engine, max_batch: int, device: int = 0, frames: FramesOn = "cpu"
    ) -> None:
        """Load an engine that fits this machine (see `engine_fit`), make lanes and slots, and judge each size of batch.

        `device` is the GPU's number; `frames` says where cameras' frames are fitted. Raises BackendError, and
        ArtifactError where the engine is not the one that the manifest tells of.
        """
        manifest, content = bundle.manifest, bundle.read(engine.file)
        self.name = f"{engine.api}-{engine.version}/{gpu.sm(engine.compute_capability)}"
        self.engine_sha256: str | None = manifest.files[engine.file]
        self.max_batch = max_batch
        self._shape = (max_batch, manifest.height, manifest.width, 3)
        self._fault: str | None = None
        self._is_sticky = False
        self._thread = ThreadPoolExecutor(1, "gpu")
        plan = bundle.path / engine.file
        try:
            self._device = self._thread.submit(self._open, plan, content, engine.api, device).result()
        except Exception as error:  # pycuda's and TensorRT's own, whatever they are
            self._thread.shutdown()
            if isinstance(error, BackendError):
                raise
            raise BackendError(
                f"{plan}: {engine.api} cannot run it here ({one_line(error)}); see `nvidia-smi` for the GPU's state."
            ) from error
        self.gpu_memory = self._device.memory
        self.fit: Fit = fit_on_cpu
        self._slots = {slot.frames.ctypes.data: slot for slot in self._device.slots}
        self._ready = deque(slot.frames for slot in self._device.slots)
        if frames == "gpu":
            try:
                self.fit = GpuFit(device, self._shape[1:3])
            except BackendError:
                self.close()
                raise

    def _open(self, plan: Path, content: bytes, api: str, device: int) -> Device:
        return Device(plan, content, api, self._shape, lanes=self.depth, slots=self.depth + SPARE, ordinal=device)

    def new_batch(self) -> NDArray[np.uint8]:
        """See Backend."""
        if self._ready:
            return self._ready.popleft()
        slot = self.on_gpu(self._device.new_slot).result()
        self._slots[slot.frames.ctypes.data] = slot
        return slot.frames

    def submit(self, frames_bgr_u8: NDArray[np.uint8]) -> Pending:
        """See Backend."""
        require_batch(frames_bgr_u8, self._shape)
        slot = self._slots.get(frames_bgr_u8.ctypes.data)
        if slot is None:
            raise ValueError("a batch starts at the first row of a buffer from this backend's new_batch()")
        rows = len(frames_bgr_u8)
        return _Submitted(self, slot, rows, self.on_gpu(self._device.start, slot, rows))

    def read_maps(self, slot: Slot, rows: int) -> NDArray[np.float32]:
        """Give the error maps (rows, h, w) of the batch that was last in a slot."""
        return self.on_gpu(self._device.read_maps, slot, rows).result()

    def on_gpu(self, step: Callable[..., T], *arguments: Any) -> "Future[T]":
        """Let the GPU's thread do `step`, after all that it was given before. A failure is a BackendFault."""
        try:
            return self._thread.submit(self._guarded, step, *arguments)
        except RuntimeError:
            raise BackendFault("the backend was closed") from None

    def close(self) -> None:
        """See Backend."""
        if isinstance(self.fit, GpuFit):
            self.fit.close()
        with contextlib.suppress(RuntimeError):  # it was closed before
            self._thread.submit(self._end)
        self._thread.shutdown()

    def _end(self) -> None:
        self._device.close()
        self._fault = self._fault or "the backend was closed"

    def _guarded(self, step: Callable[..., T], *arguments: Any) -> T:
        # A CUDA error is told by whatever call comes next, and most of them are there to stay: from the first on
        # nothing that the GPU says counts.
        if self._fault is None:
            try:
                with self._device.current():
                    return step(*arguments)
            except Exception as error:  # pycuda's and TensorRT's own, whatever they are
                self._fault, self._is_sticky = one_line(error), True
                with contextlib.suppress(Exception), self._device.current():  # a context that is lost refuses even that
                    self._is_sticky = gpu.has_sticky_error()
        raise BackendFault(self._fault, self._is_sticky)


class _Submitted:
    """A batch of `rows` frames in a slot."""

    def __init__(self, backend: TensorRtBackend, slot: Slot, rows: int, started: "Future[None]") -> None:
        self._backend, self._slot, self._rows, self._started = backend, slot, rows, started
        self._errors: NDArray[np.float32] | None = None

    def errors(self) -> NDArray[np.float32]:
        if self._errors is None:
            self._started.result()
            self._errors = self._backend.on_gpu(self._slot.finish, self._rows).result()
        return self._errors

    def error_maps(self) -> NDArray[np.float32]:
        self.errors()
        return self._backend.read_maps(self._slot, self._rows)
