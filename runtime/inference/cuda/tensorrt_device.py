"""The GPU with an engine in it, through pycuda and either TensorRT.

All of this runs on one thread, the one that made it: CUDA's context belongs to it.
"""

import contextlib
import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import BackendError
from runtime.bundles.manifest import ERROR_MAP
from runtime.inference.cuda.tensorrt_engine import LoadedEngine
from runtime.inference.cuda.tensorrt_lane import NON_BLOCKING, Lane, Shape, Slot


class Device:
    """The GPU with an engine in it. Everything here runs on the one thread that made it."""

    def __init__(
        self, plan: Path, content: bytes, api: str, buffer: Shape, lanes: int, slots: int, ordinal: int = 0
    ) -> None:
        """Load the engine `content` of the file `plan` onto a GPU, by CUDA's count.

        With so many `lanes`, and `slots` of shape `buffer`.

        Raises BackendError where the engine is refused, or the GPU has not the memory for it.
        """
        import pycuda.driver as cuda

        self._cuda, self._buffer = cuda, buffer
        self.lanes, self.slots = list[Lane](), list[Slot]()
        self._aside: Any = None
        """A stream for what nobody waits for."""
        self._loaded: LoadedEngine | None = None
        cuda.init()
        # The primary context is shared with whoever else in the process uses CUDA.
        self._context = cuda.Device(ordinal).retain_primary_context()
        try:
            with self.current():
                self._loaded = LoadedEngine(plan, content, api, math.prod(buffer[1:]))
                self._aside = cuda.Stream(NON_BLOCKING)
                self.memory = self._require_memory(lanes, slots)
                for _ in range(lanes):
                    Lane(cuda, self._loaded, buffer, self.lanes)
                self._rotation = itertools.cycle(self.lanes)
                for _ in range(slots):
                    self.new_slot()
                for lane in self.lanes:
                    lane.warm_up()
                self._engine.keep_kernels()
        except BaseException:
            self.close()
            raise

    @property
    def _engine(self) -> LoadedEngine:
        """What was loaded, until `close`."""
        assert self._loaded is not None  # noqa: S101 - lanes and slots are freed before it
        return self._loaded

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

    def new_slot(self) -> Slot:
        """Give another slot."""
        return Slot(self._cuda, self._engine, self._buffer, self.slots)

    def start(self, slot: Slot, rows: int) -> None:
        """Start what is in a slot by the lanes in turn: with no more batches under way than lanes, that one is free."""
        slot.start(rows, next(self._rotation))

    def read_maps(self, slot: Slot, rows: int) -> NDArray[np.float32]:
        """Read the error maps (rows, h, w) of what was finished in a slot."""
        return slot.read_maps(rows, self._aside)

    def close(self) -> None:
        """Free everything, last made first freed; after a CUDA error much of it fails, which changes nothing."""
        with contextlib.suppress(Exception), self.current():
            self._free()
        with contextlib.suppress(Exception):
            self._context.detach()
        # A context that is lost may not be made current any more. What was made in it goes after it: while pycuda holds
        # it for whole, it aborts the process.
        self._free()

    def _free(self) -> None:
        for lane in reversed(self.lanes):
            lane.free()
        for slot in reversed(self.slots):
            slot.free()
        self.lanes, self.slots, self._aside = [], [], None
        if self._loaded is not None:
            self._loaded.free()
        self._loaded = None

    def _require_memory(self, lanes: int, slots: int) -> str:
        """Say what is needed and what is free. Raises BackendError where it is not enough."""
        rows, engine = self._buffer[0], self._engine
        needed = lanes * (engine.scratch_bytes + rows * sum(engine.row_bytes.values()))
        needed += slots * rows * engine.row_bytes[ERROR_MAP]
        free, total = self._cuda.mem_get_info()
        told = f"needs {needed / 1e9:.2f} GB of the GPU's memory, {free / 1e9:.2f} of {total / 1e9:.2f} GB were free"
        if needed > free:
            raise BackendError(
                f"a batch of {rows} {told}: lower batching.max_batch, or end what else uses the GPU (nvidia-smi)."
            )
        return told
