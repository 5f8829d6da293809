"""A stand-in for the CUDA driver: a GPU that is none, whose streams and graphs are lists of what is to be done."""

import ctypes
from collections.abc import Callable
from typing import Any

from runtime.inference.cuda import gpu

NAME, CAPABILITY, MULTIPROCESSORS = "NVIDIA Stand-In", (8, 9), 58


class Driver:
    """`libcuda.so.1` as ctypes gives it."""

    def __init__(self, held: list[str], count: int = 1, refusal: int = 0) -> None:
        self.held, self.count, self.refusal = held, count, refusal
        self.streams: dict[int, list[Callable[[], None]]] = {}
        self.graphs: dict[int, list[Callable[[], None]]] = {}
        self.calls: list[str] = []
        self.uncapturable = False
        """Whether what is put into a stream cannot be recorded."""
        self._begun = 0
        self.broken = 0
        """What every call of the context answers: 700, for one."""

    def cuInit(self, flags: int) -> int:  # noqa: N802
        return self.refusal

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
        count._obj.value = self.count
        return 0

    def cuDeviceGet(self, device: Any, ordinal: int) -> int:  # noqa: N802
        device._obj.value = ordinal
        return 0

    def cuDeviceGetName(self, name: Any, size: int, device: Any) -> int:  # noqa: N802
        name.value = NAME.encode()
        return 0

    def cuDeviceGetAttribute(self, value: Any, attribute: int, device: Any) -> int:  # noqa: N802
        attributes = (gpu.COMPUTE_CAPABILITY_MAJOR, gpu.COMPUTE_CAPABILITY_MINOR, gpu.MULTIPROCESSOR_COUNT)
        value._obj.value = dict(zip(attributes, (*CAPABILITY, MULTIPROCESSORS), strict=True))[attribute]
        return 0

    def cuGetErrorString(self, status: int, text: Any) -> int:  # noqa: N802
        text._obj.value = b"no such luck"
        return 0

    def cuCtxSynchronize(self) -> int:  # noqa: N802
        return self.broken

    def cuStreamBeginCapture_v2(self, stream: ctypes.c_void_p, mode: int) -> int:  # noqa: N802
        self._begun = len(self.streams[stream.value or 0])
        return self.broken

    def cuStreamEndCapture(self, stream: ctypes.c_void_p, graph: Any) -> int:  # noqa: N802
        waiting = self.streams[stream.value or 0]
        recorded = waiting[self._begun :]
        del waiting[self._begun :]
        if self.uncapturable:
            return 901
        graph._obj.value = len(self.graphs) + 1
        self.graphs[len(self.graphs) + 1] = recorded
        return self.broken

    def cuGraphInstantiateWithFlags(self, executable: Any, graph: ctypes.c_void_p, flags: Any) -> int:  # noqa: N802
        executable._obj.value = graph.value
        self.held.append(f"graph {graph.value}")
        return self.broken

    def cuGraphDestroy(self, graph: ctypes.c_void_p) -> int:  # noqa: N802
        return self.broken

    def cuGraphLaunch(self, executable: ctypes.c_void_p, stream: ctypes.c_void_p) -> int:  # noqa: N802
        self.calls.append("cuGraphLaunch")
        self.streams[stream.value or 0].extend(self.graphs[executable.value or 0])
        return self.broken

    def cuGraphExecDestroy(self, executable: ctypes.c_void_p) -> int:  # noqa: N802
        self.held.remove(f"graph {executable.value}")
        return self.broken

    def cuMemHostRegister_v2(self, address: ctypes.c_void_p, size: Any, flags: Any) -> int:  # noqa: N802
        self.held.append(f"locked {address.value}")
        return 0

    def cuMemHostUnregister(self, address: ctypes.c_void_p) -> int:  # noqa: N802
        self.held.remove(f"locked {address.value}")
        return 0
