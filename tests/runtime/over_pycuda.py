"""TensorRT's stand-in over the real pycuda, which runs over a stand-in for the driver (stand_in_driver/).

That driver is what `libcuda.so.1` finds where LD_LIBRARY_PATH says so, as `make test-standin` does: never by accident.
"""

import ctypes
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.inference.cuda import gpu
from tests.runtime.cuda_stand_in import StandIn
from tests.runtime.frames_kernel import FramesKernel
from tests.runtime.tensorrt_stand_in import tensorrt_stand_in

COUNTED = ("memory", "locked", "streams", "events", "graphs", "modules", "contexts", "lost")
CALL = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def stand_in_driver() -> Any:
    """Load it. Skips the test where another driver, or none, is found."""
    try:
        driver = gpu.driver()
        _ = driver.stand_in_held
    except (OSError, AttributeError):
        pytest.skip("no stand-in for the driver here: `make test-standin` runs this")
    sys.setdlopenflags(os.RTLD_LAZY)  # what pycuda could ask of a driver, and we do not, is not there
    return driver


class OverPycuda(StandIn):
    """Counts what the driver holds; `held` has TensorRT's own."""

    def __init__(self, model: Path) -> None:
        super().__init__(model)
        self.cuda = stand_in_driver()
        self.streams, self.memory = _Streams(self.cuda), _Memory(self.cuda)  # type: ignore[assignment]

    def install(self, monkeypatch: pytest.MonkeyPatch) -> "OverPycuda":
        monkeypatch.setenv("XDG_CACHE_HOME", str(self.cache))
        for api in ("tensorrt", "tensorrt_rtx"):
            monkeypatch.setitem(sys.modules, api, tensorrt_stand_in(self, api))
        return self

    def counts(self) -> dict[str, int]:
        """What the driver holds, and what was `lost`: never given back while its context was whole."""
        held = (ctypes.c_long * len(COUNTED))()
        self.cuda.stand_in_held(held)
        return {name: number for name, number in zip(COUNTED, held, strict=True) if number}

    def use_kernel(self, kernel: FramesKernel) -> None:
        """Let the driver run it, whatever module is loaded."""
        self.cuda.stand_in_kernels(str(kernel.file).encode())

    def fail(self, result: int) -> None:
        """Let every call in the context answer `result`, until the context is gone."""
        self.cuda.stand_in_fails(result)

    def has(self, memory_bytes: int) -> None:
        """Let the GPU's memory be so large."""
        self.cuda.stand_in_has(ctypes.c_size_t(memory_bytes))

    def lose(self, result: int) -> None:
        """Let whatever needs the GPU answer `result`, a context's being made current too; with 0 it is back."""
        self.cuda.stand_in_loses(result)


class _Streams:
    """What Python puts into a stream of the driver's."""

    def __init__(self, cuda: Any) -> None:
        self._cuda = cuda
        self._kept: list[Any] = []  # a graph calls it again

    def __contains__(self, handle: int) -> bool:
        return handle > 0

    def __getitem__(self, handle: int) -> "_Stream":
        return _Stream(self._cuda, handle, self._kept)


class _Stream:
    def __init__(self, cuda: Any, handle: int, kept: list[Any]) -> None:
        self._cuda, self._handle, self._kept = cuda, handle, kept

    def append(self, work: Callable[[], None]) -> None:
        self._kept.append(CALL(lambda _: work()))
        self._cuda.stand_in_enqueue(ctypes.c_void_p(self._handle), self._kept[-1])


class _Memory:
    """The device's memory by its address."""

    def __init__(self, cuda: Any) -> None:
        self._bytes_at = cuda.stand_in_bytes_at
        self._bytes_at.restype, self._bytes_at.argtypes = ctypes.c_size_t, [ctypes.c_uint64]

    def __getitem__(self, address: int) -> NDArray[np.uint8]:
        array = (ctypes.c_uint8 * self._bytes_at(address)).from_address(address)
        return np.ctypeslib.as_array(array)
