"""The GPU as far as it resizes frames: a stream, the kernel, and memory for a frame each. All of it on one thread."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.inference.cuda import gpu
from runtime.inference.cuda.frame_piece import ARGUMENTS, Piece
from runtime.inference.cuda.tensorrt_lane import NON_BLOCKING

SIDE = 16
"""Of the square of threads that go together."""


class Staging:
    """Memory that a frame passes through: page-locked here, and on the GPU; it grows to the largest."""

    def __init__(self) -> None:
        """Without any yet."""
        self.locked: NDArray[np.uint8] = np.empty(0, np.uint8)
        self.on_gpu: Any = None
        self.row: Any = None
        """On the GPU."""

    def put(self, pixels: NDArray[np.uint8]) -> None:
        """Copy a piece of a frame in; there is room."""
        np.copyto(self.locked[: pixels.size].reshape(pixels.shape), pixels)


@dataclass(frozen=True)
class Fitting:
    """One piece that stands in page-locked memory, and the row (h, w, 3) that it is for."""

    piece: Piece
    staging: Staging
    row: NDArray[np.uint8]


class FramesDevice:
    """Made, used and closed by one thread."""

    def __init__(self, ordinal: int) -> None:
        """Load the kernel onto a GPU, by CUDA's count. Raises pycuda's errors."""
        import pycuda.driver as cuda

        self._cuda = cuda
        self._stagings: set[Staging] = set()
        self._stream: Any = None
        self._module: Any = None
        self._kernel: Any = None
        self._done: Any = None
        cuda.init()
        self._context = cuda.Device(ordinal).retain_primary_context()
        try:
            with self._current():
                self._stream = cuda.Stream(NON_BLOCKING)
                # The thread sleeps while it waits: cores are for the cameras' decoders.
                self._done = cuda.Event(cuda.event_flags.BLOCKING_SYNC | cuda.event_flags.DISABLE_TIMING)
                source = files("runtime.inference") / "kernels" / "frames.ptx"
                self._module = cuda.module_from_buffer(source.read_bytes() + b"\0")
                self._kernel = self._module.get_function("fit_frame")
                self._kernel.prepare(ARGUMENTS)
        except BaseException:
            self.close()
            raise

    def make_room(self, staging: Staging, frame_bytes: int, row_bytes: int) -> None:
        """Let a frame and a row of so many bytes pass through `staging`."""
        with self._current():
            self._free(staging)
            self._stagings.add(staging)
            staging.locked = gpu.page_lock((frame_bytes,), np.uint8)
            staging.on_gpu = self._cuda.mem_alloc(frame_bytes)
            staging.row = self._cuda.mem_alloc(row_bytes)

    def fit(self, fittings: Sequence[Fitting]) -> None:
        """Write all these rows, and wait until they are written; where one fails, until nothing writes any more."""
        with self._current():
            try:
                for fitting in fittings:
                    self._start(fitting)
            except BaseException:
                with contextlib.suppress(Exception):
                    self._stream.synchronize()
                raise
            self._done.record(self._stream)
            self._done.synchronize()

    def close(self) -> None:
        """Free everything; after a CUDA error much of it fails, which changes nothing."""
        with contextlib.suppress(Exception), self._current():
            self._free_all()
        with contextlib.suppress(Exception):
            self._context.detach()
        self._free_all()  # what is still there, of a context that is lost: see Device.close

    def _free_all(self) -> None:
        for staging in self._stagings:
            self._free(staging)
        self._kernel = self._module = self._done = self._stream = None

    def _start(self, fitting: Fitting) -> None:
        cuda, staging, row = self._cuda, fitting.staging, fitting.row
        height, width = row.shape[:2]
        pixels = staging.locked[: fitting.piece.pixels.size]
        cuda.memcpy_htod_async(staging.on_gpu, pixels, self._stream)
        arguments = fitting.piece.arguments(int(staging.on_gpu), int(staging.row), (width, height))
        grid = (-(-width // SIDE), -(-height // SIDE))
        self._kernel.prepared_async_call(grid, (SIDE, SIDE, 1), self._stream, *arguments)
        cuda.memcpy_dtoh_async(row, staging.row, self._stream)

    def _free(self, staging: Staging) -> None:
        if staging.on_gpu is None:
            return
        for memory in (staging.on_gpu, staging.row):
            with contextlib.suppress(Exception):
                memory.free()
        with contextlib.suppress(Exception):
            gpu.page_unlock(staging.locked)
        staging.locked, staging.on_gpu, staging.row = np.empty(0, np.uint8), None, None

    @contextlib.contextmanager
    def _current(self) -> Iterator[None]:
        self._context.push()
        try:
            yield
        finally:
            self._context.pop()
