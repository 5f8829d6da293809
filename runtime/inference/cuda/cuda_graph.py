"""CUDA graphs: what was put into a stream once is launched again as one piece, asked of the driver itself.

pycuda 2026.1 has no calls that capture a stream. Source: cuda.h, CUDA 12 and later.
"""

import ctypes
from collections.abc import Callable

from runtime.inference.cuda import gpu

THREAD_LOCAL = 1
"""CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: what other threads do with CUDA meanwhile is their own affair."""


class CudaGraph:
    """Recorded work. A CUDA context is current in every call, the same one."""

    def __init__(self, stream: int, enqueue: Callable[[], None]) -> None:
        """Record what `enqueue` puts into the stream with this handle; nothing of it is done yet.

        Raises CudaError where something in it cannot be recorded; the stream goes on as if nothing had been asked.
        """
        cuda = gpu.driver()
        graph, self._executable = ctypes.c_void_p(), ctypes.c_void_p()
        gpu.check(cuda, cuda.cuStreamBeginCapture_v2(ctypes.c_void_p(stream), THREAD_LOCAL))
        try:
            try:
                enqueue()
            finally:
                ended = cuda.cuStreamEndCapture(ctypes.c_void_p(stream), ctypes.byref(graph))
            gpu.check(cuda, ended)
            gpu.check(
                cuda, cuda.cuGraphInstantiateWithFlags(ctypes.byref(self._executable), graph, ctypes.c_ulonglong(0))
            )
        finally:
            if graph:
                cuda.cuGraphDestroy(graph)

    def launch(self, stream: int) -> None:
        """Put the recorded work into the stream with this handle. Raises CudaError."""
        cuda = gpu.driver()
        gpu.check(cuda, cuda.cuGraphLaunch(self._executable, ctypes.c_void_p(stream)))

    def free(self) -> None:
        """Free it. Raises CudaError."""
        cuda = gpu.driver()
        gpu.check(cuda, cuda.cuGraphExecDestroy(self._executable))
