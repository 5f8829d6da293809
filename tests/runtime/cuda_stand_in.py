"""A stand-in for pycuda and the CUDA driver, so that the logic around them can be run without a GPU.

It is no GPU: "device memory" is bytes, and an "engine" (tensorrt_stand_in.py) computes with ONNX Runtime. But what is
enqueued on a stream happens only when the stream is waited for, so that a buffer touched too early shows; every call
notes its thread; all that is allocated has to be freed, the context last. That the real packages have these names is
checked elsewhere.
"""

import itertools
import struct
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from core.files import sha256_of
from runtime.bundles.bundle import Bundle, save_manifest
from runtime.bundles.manifest import ERROR_MAP, ERRORS, INPUT, Engine
from runtime.inference.cuda import gpu
from tests.runtime.cuda_driver_stand_in import CAPABILITY, MULTIPROCESSORS, NAME, Driver
from tests.runtime.frames_kernel import FramesKernel
from tests.runtime.tensorrt_stand_in import PLAN, VERSION, tensorrt_stand_in


def engine(bundle: Bundle, api: str = "tensorrt", **changed: Any) -> Engine:
    """A record of an engine that fits the stand-in."""
    content = {
        "file": f"engines/{api}-sm89.plan",
        "api": api,
        "version": VERSION,
        "compute_capability": CAPABILITY,
        "gpu": NAME if api == "tensorrt" else None,
        "multiprocessors": MULTIPROCESSORS if api == "tensorrt" else None,
        "platform": "linux-x86_64",
        "batches": (1, 4, 8),
        "model_sha256": bundle.manifest.model_sha256,
        "build_s": 1.0,
    }
    return Engine.model_validate({**content, **changed})


def add_engine(bundle: Bundle, built: Engine) -> None:
    """Put an engine into a bundle on disk."""
    file = bundle.path / built.file
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(PLAN)
    files = {**bundle.manifest.files, built.file: sha256_of(file)}
    save_manifest(bundle.path, bundle.manifest.model_copy(update={"engines": (built,), "files": files}))


def drain(waiting: list[Callable[[], None]]) -> None:
    """Do what was enqueued."""
    while waiting:
        waiting.pop(0)()


class StandIn:
    """A GPU that is none; `install` puts it in the place of the real packages."""

    def __init__(self, model: Path) -> None:
        self.held: list[str] = []
        """What was made and not yet freed, in this order."""
        self.freed: list[str] = []
        self.threads: set[int] = set()
        self.current = threading.local()
        self.fault: str | None = None
        """From here on every CUDA call fails so."""
        self.refuses: str | None = None
        """The TensorRT call that answers False or None."""
        self.fails_at: set[int] = set()
        """Batches of frames, counted over all openings, with which a fault begins that goes with the context."""
        self.stays = False
        """Whether it stays with the process instead."""
        self.ordinal = -1
        """Of the GPU whose context was asked for last."""
        self.batches = 0
        self.cache = model.parent.parent / "cache"
        """Where kernels are kept."""
        self.driver = Driver(self.held)
        self._model = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
        self._numbers = itertools.count(1)
        self.memory: dict[int, np.ndarray[Any, Any]] = {}
        self.streams, self.calls = self.driver.streams, self.driver.calls
        self.kernel: FramesKernel | None = None
        """What a module's function does."""
        self.free_bytes = 8 * 10**9
        self.kept_kernels = b""
        """What the last runtime cache was made from."""

    def install(self, monkeypatch: pytest.MonkeyPatch) -> "StandIn":
        cuda = self._pycuda()
        monkeypatch.setenv("XDG_CACHE_HOME", str(self.cache))
        package = ModuleType("pycuda")
        package.driver = cuda  # type: ignore[attr-defined]
        for name, module in {"pycuda": package, "pycuda.driver": cuda}.items():
            monkeypatch.setitem(sys.modules, name, module)
        for api in ("tensorrt", "tensorrt_rtx"):
            monkeypatch.setitem(sys.modules, api, tensorrt_stand_in(self, api))
        monkeypatch.setattr(gpu, "driver", lambda: self.driver)
        return self

    def make(self, kind: str) -> str:
        name = f"{kind} {next(self._numbers)}"
        self.held.append(name)
        return name

    def free(self, name: str) -> None:
        if name in self.held:
            self.held.remove(name)
            self.freed.append(name.split(maxsplit=1)[0])

    def _cuda_call(self, name: str) -> None:
        assert getattr(self.current, "contexts", 0), "no context is current"
        self.threads.add(threading.get_ident())
        self.calls.append(name)
        if self.fault is not None:
            raise RuntimeError(f"{name} failed: {self.fault}")

    def _pycuda(self) -> ModuleType:
        stand_in, cuda = self, ModuleType("pycuda.driver")

        class Context:
            def __init__(self) -> None:
                self.name = stand_in.make("context")
                self.pushed = 0

            def push(self) -> None:
                self.pushed += 1
                stand_in.current.contexts = self.pushed

            def pop(self) -> None:
                self.pushed -= 1
                stand_in.current.contexts = self.pushed

            def detach(self) -> None:
                assert self.pushed == 0
                stand_in.free(self.name)

        class Device:
            def __init__(self, ordinal: int) -> None:
                stand_in.ordinal = ordinal

            def retain_primary_context(self) -> Context:
                stand_in.threads.add(threading.get_ident())
                if stand_in.fails_at and not stand_in.stays:
                    stand_in.fault, stand_in.driver.broken = None, 0
                return Context()

        class Stream:
            name = ""

            def __init__(self, flags: int) -> None:
                stand_in._cuda_call("cuStreamCreate")
                self.name = stand_in.make("stream")
                self.handle = next(stand_in._numbers)
                self.waiting: list[Callable[[], None]] = []
                stand_in.streams[self.handle] = self.waiting

            def synchronize(self) -> None:
                stand_in._cuda_call("cuStreamSynchronize")
                drain(self.waiting)

            def __del__(self) -> None:
                stand_in.free(self.name)

        class Event:
            """Waits for its stream as far as that was filled when it was recorded; here, for all of it."""

            waiting: list[Callable[[], None]]

            def __init__(self, flags: int) -> None:
                stand_in._cuda_call("cuEventCreate")
                assert flags & cuda.event_flags.BLOCKING_SYNC, "the thread would spin"
                self.name = stand_in.make("event")

            def record(self, stream: Stream) -> None:
                stand_in._cuda_call("cuEventRecord")
                self.waiting = stream.waiting

            def synchronize(self) -> None:
                stand_in._cuda_call("cuEventSynchronize")
                drain(self.waiting)

            def __del__(self) -> None:
                stand_in.free(self.name)

        class Allocation:
            def __init__(self, size: int) -> None:
                stand_in._cuda_call("cuMemAlloc")
                self.name = stand_in.make("memory")
                self.address = next(stand_in._numbers)
                stand_in.memory[self.address] = np.zeros(size, np.uint8)

            def __int__(self) -> int:
                return self.address

            def free(self) -> None:
                del stand_in.memory[self.address]
                stand_in.free(self.name)

        def memcpy_htod_async(dest: Allocation, src: Any, stream: Stream) -> None:
            stand_in.batches += 1
            if stand_in.batches in stand_in.fails_at:
                stand_in.fault, stand_in.driver.broken = "an illegal memory access was encountered", 700
            stand_in._cuda_call("cuMemcpyHtoDAsync")
            memory = stand_in.memory[int(dest)]

            def copy() -> None:
                memory[: src.nbytes] = src.reshape(-1)

            stream.waiting.append(copy)

        def memcpy_dtoh_async(dest: Any, src: Allocation, stream: Stream) -> None:
            stand_in._cuda_call("cuMemcpyDtoHAsync")
            memory = stand_in.memory[int(src)]

            def copy() -> None:
                dest[...] = memory[: dest.nbytes].view(dest.dtype).reshape(dest.shape)

            stream.waiting.append(copy)

        def memcpy_dtod_async(dest: Allocation, src: Allocation, size: int, stream: Stream) -> None:
            stand_in._cuda_call("cuMemcpyDtoDAsync")
            to, origin = stand_in.memory[int(dest)], stand_in.memory[int(src)]

            def copy() -> None:
                to[:size] = origin[:size]

            stream.waiting.append(copy)

        class Function:
            """The kernel that resizes frames, on the CPU."""

            def prepare(self, format_: str) -> None:
                self.format = format_

            def prepared_async_call(self, grid: Any, block: Any, stream: Stream, *arguments: int) -> None:
                stand_in._cuda_call("cuLaunchKernel")
                assert stand_in.kernel is not None
                addresses = [stand_in.memory[at].ctypes.data for at in arguments[:2]]
                packed = struct.pack(self.format, *addresses, *arguments[2:])
                launch = partial(stand_in.kernel.launch, (*grid, 1), block, packed)
                stream.waiting.append(launch)

        class Module:
            def __init__(self, image: bytes) -> None:
                assert b".entry fit_frame(" in image
                assert image.endswith(b"\0")
                stand_in._cuda_call("cuModuleLoadDataEx")
                self.name = stand_in.make("module")

            def get_function(self, name: str) -> Function:
                assert name == "fit_frame"
                return Function()

            def __del__(self) -> None:
                stand_in.free(self.name)

        cuda.module_from_buffer = Module  # type: ignore[attr-defined]
        cuda.memcpy_dtod_async, cuda.Event = memcpy_dtod_async, Event  # type: ignore[attr-defined]
        cuda.event_flags = SimpleNamespace(BLOCKING_SYNC=1, DISABLE_TIMING=2)  # type: ignore[attr-defined]
        cuda.mem_get_info = lambda: (stand_in.free_bytes, 8 * 10**9)  # type: ignore[attr-defined]
        cuda.init = lambda: None  # type: ignore[attr-defined]
        cuda.Device, cuda.Stream, cuda.mem_alloc = Device, Stream, Allocation  # type: ignore[attr-defined]
        cuda.memcpy_htod_async, cuda.memcpy_dtoh_async = memcpy_htod_async, memcpy_dtoh_async  # type: ignore[attr-defined]
        return cuda

    def compute(self, frames: Any) -> Any:
        """What the engine computes: errors and error maps."""
        return self._model.run([ERRORS, ERROR_MAP], {INPUT: frames})
