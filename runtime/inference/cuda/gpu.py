"""The GPU: what NVIDIA GPU this machine has, asked of the driver itself, and memory that its copies need not wait for.

`libcuda.so.1` is called through ctypes, because a machine without a GPU has neither it nor pycuda, and wants to know.
"""

import ctypes
import functools
import mmap
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from core.errors import BackendError

DRIVER = "libcuda.so.1"
MULTIPROCESSOR_COUNT, COMPUTE_CAPABILITY_MAJOR, COMPUTE_CAPABILITY_MINOR = 16, 75, 76
"""CUdevice_attribute."""
SUCCESS, INVALID_CONTEXT = 0, 201
"""CUresult; 201 is also what is answered where no context is current."""


def sm(compute_capability: tuple[int, int]) -> str:
    """Name a compute capability: `sm89`."""
    major, minor = compute_capability
    return f"sm{major}{minor}"


@dataclass(frozen=True)
class Gpu:
    """A GPU."""

    name: str
    """As the driver calls it: `NVIDIA RTX 4000 Ada Generation`, for one."""
    compute_capability: tuple[int, int]
    """(8, 9), for one."""
    multiprocessors: int
    """Tells apart what has one name: the Jetsons, and the parts of a GPU that was divided."""

    @property
    def target(self) -> str:
        """What `export-engine --target` calls its kind: `sm89`."""
        return sm(self.compute_capability)


class CudaError(Exception):
    """A call of the driver that failed."""


class NoGpuError(BackendError):
    """There is no such GPU; the message says why."""


def find_gpu(number: int = 0) -> Gpu:
    """Give a GPU by CUDA's count (CUDA_VISIBLE_DEVICES says which are counted). Raises NoGpuError.

    No CUDA context is made, and no memory of the GPU is taken.
    """
    try:
        cuda = driver()
        check(cuda, cuda.cuInit(0))
        count = ctypes.c_int()
        check(cuda, cuda.cuDeviceGetCount(ctypes.byref(count)))
        if not count.value:
            raise NoGpuError("the NVIDIA driver shows no GPU")
        if number >= count.value:
            raise NoGpuError(
                f"the NVIDIA driver shows {count.value} GPU, and none with the number {number} (backend.device)"
            )
        device, name = ctypes.c_int(), ctypes.create_string_buffer(256)
        check(cuda, cuda.cuDeviceGet(ctypes.byref(device), number))
        check(cuda, cuda.cuDeviceGetName(name, len(name), device))
        values = []
        for attribute in (COMPUTE_CAPABILITY_MAJOR, COMPUTE_CAPABILITY_MINOR, MULTIPROCESSOR_COUNT):
            value = ctypes.c_int()
            check(cuda, cuda.cuDeviceGetAttribute(ctypes.byref(value), attribute, device))
            values.append(value.value)
    except OSError as error:
        raise NoGpuError(f"no NVIDIA driver on this machine ({DRIVER})") from error
    except CudaError as error:
        raise NoGpuError(f"the NVIDIA driver refuses ({error})") from error
    major, minor, multiprocessors = values
    return Gpu(name.value.decode(errors="replace"), (major, minor), multiprocessors)


def has_sticky_error() -> bool:
    """Whether the current CUDA context has failed for good: it gives an error when nothing is asked of it.

    So it does after an illegal address (700), a launch that failed (719), an error of the GPU's memory (214), and where
    the GPU is gone (46, 100 or 999, as it happens); memory that ran out (2) only that call tells of. Waits
    for its work.
    """
    return int(driver().cuCtxSynchronize()) not in (SUCCESS, INVALID_CONTEXT)


def page_lock(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Give zeroed memory that the GPU copies from and to by itself. A CUDA context must be current.

    The memory is the process's own and only locked by CUDA: a camera thread that still writes into it when the engine
    has failed and its context is gone hits no hole. (pycuda's `pagelocked_empty` goes with its context, and its
    `register_host_memory` fails since NumPy 2: inducer/pycuda#459.) Raises CudaError.
    """
    array = np.frombuffer(mmap.mmap(-1, int(np.prod(shape)) * np.dtype(dtype).itemsize), dtype).reshape(shape)
    cuda = driver()
    size = ctypes.c_size_t(array.nbytes)
    check(cuda, cuda.cuMemHostRegister_v2(ctypes.c_void_p(array.ctypes.data), size, ctypes.c_uint(0)))
    return array


def page_unlock(array: NDArray[Any]) -> None:
    """Make what `page_lock` gave ordinary memory again, in the context that locked it. Raises CudaError."""
    cuda = driver()
    check(cuda, cuda.cuMemHostUnregister(ctypes.c_void_p(array.ctypes.data)))


def driver() -> Any:
    """Load the driver's library. Raises OSError where there is none."""
    return _load(DRIVER)


def check(cuda: Any, status: int) -> None:
    """Raise CudaError, in the driver's words, where a call's `status` is not 0."""
    if status:
        text = ctypes.c_char_p()
        cuda.cuGetErrorString(status, ctypes.byref(text))
        raise CudaError(f"CUDA error {status}: {(text.value or b'unknown').decode(errors='replace')}")


@functools.cache
def _load(library: str) -> Any:
    return ctypes.CDLL(library)
