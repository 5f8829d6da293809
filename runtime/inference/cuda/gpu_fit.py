"""Cameras' frames on the GPU: cropped, their colours worked out, and resized into rows of a batch, several at once.

A thread of its own, beside the one that computes, has the GPU's part of it. A camera's thread copies its crop into
page-locked memory and waits; those of other cameras that came meanwhile go the same way together.
"""

import contextlib
import logging
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from core.errors import BackendError, one_line
from core.pictures.geometry import Pose, Roi
from runtime.batching.fitting import fit_on_cpu
from runtime.inference.cuda.frame_piece import Piece, piece_of
from runtime.inference.cuda.frames_device import Fitting, FramesDevice, Staging
from runtime.parts.layout import Layout, to_bgr
from runtime.parts.part import Picture

log = logging.getLogger(__name__)
TOLERANCE = 1
"""Grey levels between the CPU's row and the GPU's: OpenCV works with floats, the kernel with whole numbers."""


class GpuFit:
    """A Fit. Where the GPU fails it goes on with the CPU, to the same rows within one grey level, and says so."""

    def __init__(self, device: int, row_size: tuple[int, int]) -> None:
        """Fit into rows of (height, width) on the GPU of this number, once its rows were held against the CPU's.

        Raises BackendError where there is no such GPU, or its rows are others.
        """
        self._fault: str | None = None
        self._waiting: deque[tuple[Fitting, Future[str]]] = deque()
        self._idle: list[Staging] = []
        self._device: FramesDevice | None = None
        self._thread = ThreadPoolExecutor(1, "frames")
        try:
            self._thread.submit(self._open, device).result()
            self._require_equal_rows(row_size)
        except Exception as error:  # pycuda's own, whatever they are
            self.close()
            raise BackendError(f"frames: gpu: {one_line(error)}; set backend.frames: cpu.") from error

    def __call__(
        self,
        pixels_u8: NDArray[np.uint8],
        layout: Layout,
        row: NDArray[np.uint8],
        roi: Roi | None = None,
        pose: Pose | None = None,
    ) -> Picture:
        """See Fit. Parts that lie at an angle are cut out by the CPU."""
        if self._fault is None and pose is None and min(pixels_u8.shape[:2]) > 2:
            piece = piece_of(pixels_u8, layout, roi)
            try:
                self._fit(piece, row)
                return lambda: to_bgr(pixels_u8, layout, roi)
            except Exception as error:  # pycuda's own, whatever they are; or it was closed meanwhile
                self._give_up(one_line(error))
        return fit_on_cpu(pixels_u8, layout, row, roi, pose)

    def close(self) -> None:
        """Free what is held; from now on the CPU fits. Once closed, do nothing."""
        self._fault = self._fault or "closed"
        with contextlib.suppress(RuntimeError):  # it was closed before
            self._thread.submit(self._end)
        self._thread.shutdown()

    def _fit(self, piece: Piece, row: NDArray[np.uint8]) -> None:
        staging = self._take_staging(piece.pixels.size, row.nbytes)
        staging.put(piece.pixels)
        fault: Future[str] = Future()
        self._waiting.append((Fitting(piece, staging, row), fault))
        self._thread.submit(self._fit_all_that_wait)
        if words := fault.result():
            raise RuntimeError(words)
        self._idle.append(staging)

    def _take_staging(self, frame_bytes: int, row_bytes: int) -> Staging:
        """Give memory that is this thread's until it is idle again."""
        try:
            staging = self._idle.pop()
        except IndexError:
            staging = Staging()
        if len(staging.locked) < frame_bytes:
            self._thread.submit(self._opened.make_room, staging, frame_bytes, row_bytes).result()
        return staging

    def _give_up(self, reason: str) -> None:
        if self._fault is None:
            self._fault = reason
            log.warning("frames are resized on the CPU until the engine is opened again reason=%r", reason)

    def _require_equal_rows(self, row_size: tuple[int, int]) -> None:
        """Fit a picture of each layout both ways. Raises what the GPU does, or BackendError."""
        noise = np.random.default_rng(0).integers(0, 256, (97, 131, 3), np.uint8)
        frames: list[tuple[NDArray[np.uint8], Layout]] = [(noise[:, :, 0], "BGR")]
        frames += [(noise if layout in ("BGR", "RGB") else noise[:, :, 0], layout) for layout in get_args(Layout)]
        for pixels, layout in frames:
            here, there = (np.zeros((*row_size, 3), np.uint8) for _ in range(2))
            region = (5, 3, 101, 80)
            self._fit(piece_of(pixels, layout, region), there)
            fit_on_cpu(pixels, layout, here, region)
            difference = int(np.abs(here.astype(np.int16) - there).max())
            if difference > TOLERANCE:
                raise BackendError(f"a row is off by {difference} grey levels from the CPU's")

    @property
    def _opened(self) -> FramesDevice:
        if self._device is None:
            raise RuntimeError("closed")
        return self._device

    # What follows runs on the thread.

    def _open(self, device: int) -> None:
        self._device = FramesDevice(device)

    def _fit_all_that_wait(self) -> None:
        waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not waiting:
            return
        words = ""
        try:
            self._opened.fit([fitting for fitting, _ in waiting])
        except Exception as error:  # pycuda's own, whatever they are; kept, it would keep the stream
            words = one_line(error)
        for _, fault in waiting:
            fault.set_result(words)

    def _end(self) -> None:
        if self._device is not None:
            self._device.close()
        self._device = None
