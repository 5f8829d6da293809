"""Backends: who turns a batch of frames into errors. One thread owns a backend from its making to its close."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from runtime.batching.fitting import Fit


class BackendFault(Exception):  # noqa: N818
    """The engine failed with a batch under way: no part of it was judged, and the backend has to be opened again."""

    def __init__(self, text: str, is_sticky: bool = False) -> None:
        """`text` says what failed."""
        super().__init__(text)
        self.is_sticky = is_sticky
        """Whether it may stay with the process, so that opening again does not help."""


class Pending(Protocol):
    """A batch under way."""

    def errors(self) -> NDArray[np.float32]:
        """Wait for the batch and return its errors (N, K + 1) float32. Raises BackendFault, again when asked again."""

    def error_maps(self) -> NDArray[np.float32]:
        """Return its error maps (N, h, w) float32; asked for only where a part failed, while the buffer is untouched.

        Raises BackendFault.
        """


SPARE = 3
"""Buffers beside one for each batch under way: one that is filled, one that is read, one for the known pictures."""


class Backend(Protocol):
    """The engine behind the batches, warm when it is made; what it says of itself is fixed then."""

    name: str
    kind: str
    """What `backend.kind` calls it."""
    engine_sha256: str | None
    """Of the engine's file; None where `model.onnx` itself is computed."""
    gpu_memory: str
    """What it needs of a GPU's memory and what was free, in words; empty where there is none, or it is not known."""
    max_batch: int
    depth: int
    """How many batches may be under way at once. The last one is judged while the next are computed."""

    fit: Fit
    """How cameras' frames get into the rows of its buffers."""

    def new_batch(self) -> NDArray[np.uint8]:
        """Return an input buffer (max_batch, H, W, 3) uint8 that cameras fill in place; page-locked on a GPU.

        It stays memory that can be written to after `close`. The first `depth + SPARE` were made with the backend, so
        that they are there whatever has become of the GPU. Raises BackendFault where it is lost by the next.
        """

    def submit(self, frames_bgr_u8: NDArray[np.uint8]) -> Pending:
        """Start a batch: the first 1 <= n <= max_batch rows of a buffer from `new_batch`, untouched until it is done.

        Raises ValueError where it is anything else; what fails later is told by the batch.
        """

    def close(self) -> None:
        """End what is under way and free what the backend holds, in order; once closed, do nothing."""


def batch_sizes(most: int) -> tuple[int, ...]:
    """Give the sizes that a GPU computes: 1, 2, 4 and so on, and `most`. A batch is filled up to the next.

    Each has kernels of its own, which are chosen or compiled once: a size that nobody has seen would cost a part its
    deadline.
    """
    return (*(2**power for power in range(most.bit_length()) if 2**power < most), most)


def require_batch(frames_bgr_u8: NDArray[np.uint8], buffer: tuple[int, ...]) -> None:
    """Refuse what is no batch for buffers of the shape `buffer` (max_batch, H, W, 3). Raises ValueError."""
    shape, dtype = frames_bgr_u8.shape, frames_bgr_u8.dtype
    fits = len(shape) == len(buffer) and shape[1:] == buffer[1:] and 1 <= shape[0] <= buffer[0]
    if dtype != np.uint8 or not fits or not frames_bgr_u8.flags.c_contiguous:
        raise ValueError(f"a batch is uint8 of 1 to {buffer[0]} x {buffer[1:]} in one piece, not {dtype} {shape}")
