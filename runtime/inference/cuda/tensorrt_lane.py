"""What a batch passes through on the GPU: a slot, its buffer, and a lane, which computes one batch after the other.

There are as many lanes as batches under way, and more slots: what is large on a GPU belongs to the lanes. Everything
here runs on the thread that made it, with the device's CUDA context current.
"""

import contextlib
import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import one_line
from runtime.bundles.manifest import ERROR_MAP, ERRORS, INPUT
from runtime.inference.backend import batch_sizes
from runtime.inference.cuda import gpu
from runtime.inference.cuda.cuda_graph import CudaGraph
from runtime.inference.cuda.tensorrt_engine import LoadedEngine

log = logging.getLogger(__name__)
NON_BLOCKING = 1
"""CU_STREAM_NON_BLOCKING: nobody else's work on the default stream is waited for."""
Shape = tuple[int, ...]
"""(max_batch, H, W, 3)."""


class Lane:
    """Stream, memory and execution contexts: one batch at a time, those that follow wait in the stream."""

    def __init__(self, cuda: Any, loaded: LoadedEngine, buffer: Shape, lanes: list["Lane"]) -> None:
        """Reserve all that batches of shape `buffer` need, as one of the `lanes`; `cuda` is pycuda's driver."""
        self._cuda, self._loaded, self._buffer = cuda, loaded, buffer
        self.memory: dict[str, Any] = {}
        self._scratch: Any = None
        self._contexts: dict[int, Any] = {}
        self._graphs: dict[int, CudaGraph] = {}
        self.stream: Any = cuda.Stream(NON_BLOCKING)
        lanes.append(self)  # from here on it is freed with the others, however far it came
        rows = buffer[0]
        for name, row_bytes in loaded.row_bytes.items():
            self.memory[name] = cuda.mem_alloc(rows * row_bytes)
        self._make_contexts(batch_sizes(rows))

    def _make_contexts(self, sizes: Sequence[int]) -> None:
        """TensorRT for RTX captures graphs of any size in one context; a graph of ours needs a context of its own."""
        if self._loaded.is_rtx:
            self._contexts = dict.fromkeys(sizes, self._loaded.new_context())
        else:
            self._scratch = self._cuda.mem_alloc(max(1, self._loaded.scratch_bytes))
            self._contexts = {size: self._loaded.new_context(self._scratch) for size in sizes}
        for context in {id(context): context for context in self._contexts.values()}.values():
            self._require(context.set_optimization_profile_async(0, self.stream.handle), "the profile is refused")
            for name, memory in self.memory.items():
                self._require(context.set_tensor_address(name, int(memory)), f"`{name}` is refused")

    def warm_up(self) -> None:
        """Compute a batch of each size: kernels are compiled or chosen now, and full TensorRT's work is recorded."""
        for size, context in self._contexts.items():
            self.compute(size)
            self.stream.synchronize()
            if not self._loaded.is_rtx:
                try:
                    self._graphs[size] = CudaGraph(self.stream.handle, partial(self._execute, context))
                except (gpu.CudaError, RuntimeError) as error:
                    log.warning("no CUDA graph batch=%d reason=%r", size, one_line(error))
            self.compute(size)
            self.stream.synchronize()

    def compute(self, rows: int) -> None:
        """Enqueue the computing alone, of `rows` rows that are on the GPU, filled up to the next size."""
        size = next(size for size in self._contexts if size >= rows)
        graph = self._graphs.get(size)
        if graph is not None:
            graph.launch(self.stream.handle)
            return
        context = self._contexts[size]
        shape = (size, *self._buffer[1:])
        self._require(context.set_input_shape(INPUT, shape), "the batch size is refused")
        self._execute(context)

    def free(self) -> None:
        """Wait for what is under way, then free graphs, contexts, memory and stream, in this order."""
        with contextlib.suppress(Exception):
            self.stream.synchronize()
        for graph in self._graphs.values():
            with contextlib.suppress(Exception):
                graph.free()
        self._graphs, self._contexts = {}, {}
        for memory in (*self.memory.values(), self._scratch):
            with contextlib.suppress(Exception):
                memory.free()
        self.memory, self._scratch, self.stream = {}, None, None

    def _execute(self, context: Any) -> None:
        self._require(context.execute_async_v3(self.stream.handle), "it does not compute")

    def _require(self, is_done: bool, problem: str) -> None:
        if not is_done:
            raise RuntimeError("; ".join([problem, *self._loaded.complaints]))


class Slot:
    """An input buffer, and the results of the batch that was last in it."""

    def __init__(self, cuda: Any, loaded: LoadedEngine, buffer: Shape, slots: list["Slot"]) -> None:
        """Reserve it, as one of the `slots`; `cuda` is pycuda's driver.

        Frames, of shape `buffer` (max_batch, H, W, 3), and errors (max_batch, K + 1) are page-locked.
        """
        self._cuda, self._loaded = cuda, loaded
        self._maps: Any = None
        self._done: Any = None
        self._locked: list[NDArray[Any]] = []
        slots.append(self)  # from here on it is freed with the others, however far it came
        rows = buffer[0]
        self.frames: NDArray[np.uint8] = self._lock(buffer, np.uint8)
        self._errors: NDArray[np.float32] = self._lock((rows, *loaded.shapes[ERRORS]), np.float32)
        self._maps = cuda.mem_alloc(rows * loaded.row_bytes[ERROR_MAP])
        # The thread sleeps while it waits: cores are for the cameras' decoders.
        self._done = cuda.Event(cuda.event_flags.BLOCKING_SYNC | cuda.event_flags.DISABLE_TIMING)

    def start(self, rows: int, lane: Lane) -> None:
        """Enqueue the first `rows` rows: copy them over, compute, copy the errors back. Returns at once."""
        cuda = self._cuda
        cuda.memcpy_htod_async(lane.memory[INPUT], self.frames[:rows], lane.stream)
        lane.compute(rows)
        cuda.memcpy_dtoh_async(self._errors[:rows], lane.memory[ERRORS], lane.stream)
        # The lane's next batch overwrites its maps; on the GPU a copy costs next to nothing.
        maps_bytes = rows * self._loaded.row_bytes[ERROR_MAP]
        cuda.memcpy_dtod_async(self._maps, lane.memory[ERROR_MAP], maps_bytes, lane.stream)
        self._done.record(lane.stream)

    def finish(self, rows: int) -> NDArray[np.float32]:
        """Wait for what was started, and give the errors (rows, K + 1)."""
        self._done.synchronize()
        return np.array(self._errors[:rows])

    def read_maps(self, rows: int, aside: Any) -> NDArray[np.float32]:
        """Copy the error maps (rows, h, w) of what was finished, by the stream `aside`, beside what is under way."""
        maps = np.empty((rows, *self._loaded.shapes[ERROR_MAP]), np.float32)
        self._cuda.memcpy_dtoh_async(maps, self._maps, aside)
        self._done.record(aside)
        self._done.synchronize()
        return maps

    def free(self) -> None:
        """Free it, once the lanes are gone."""
        with contextlib.suppress(Exception):
            self._maps.free()
        self._maps = self._done = None
        for locked in self._locked:
            with contextlib.suppress(Exception):
                gpu.page_unlock(locked)

    def _lock(self, shape: tuple[int, ...], dtype: type) -> NDArray[Any]:
        self._locked.append(gpu.page_lock(shape, dtype))
        return self._locked[-1]
