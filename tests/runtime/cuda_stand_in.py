"""A stand-in for pycuda, TensorRT and the CUDA driver, so that the logic around them can be run without a GPU.

It is no GPU: "device memory" is bytes, and an "engine" computes with ONNX Runtime. But what is enqueued on a stream
happens only when the stream is waited for, so that a buffer touched too early shows; every call notes its thread; all
that is allocated has to be freed, the context last. That the real packages have these names is checked elsewhere.
"""

import ctypes
import itertools
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from runtime.bundles.bundle import Bundle, save_manifest, sha256_of
from runtime.bundles.manifest import ERROR_MAP, ERRORS, INPUT, Engine
from runtime.inference import gpu
from tests.runtime.pictures import GRID, SIZE

PLAN = b"the plan"
NAME, CAPABILITY, MULTIPROCESSORS = "NVIDIA Stand-In", (8, 9), 58
VERSION = "11.4.0.106"


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


class Driver:
    """`libcuda.so.1` as ctypes gives it."""

    def __init__(self, held: list[str], count: int = 1, refusal: int = 0) -> None:
        self.held, self.count, self.refusal = held, count, refusal
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

    def cuMemHostRegister_v2(self, address: ctypes.c_void_p, size: Any, flags: Any) -> int:  # noqa: N802
        self.held.append(f"locked {address.value}")
        return 0

    def cuMemHostUnregister(self, address: ctypes.c_void_p) -> int:  # noqa: N802
        self.held.remove(f"locked {address.value}")
        return 0


class StandIn:
    """A GPU that is none; `install` puts it in the place of the real packages."""

    def __init__(self, model: Path) -> None:
        self.held: list[str] = []
        """What was made and not yet freed, in this order."""
        self.freed: list[str] = []
        self.threads: set[int] = set()
        self.is_current = False
        self.calls: list[str] = []
        self.fault: str | None = None
        """From here on every CUDA call fails so."""
        self.refuses: str | None = None
        """The TensorRT call that answers False or None."""
        self.fails_at: set[int] = set()
        """Batches, counted from the first warming up, with which a fault begins that goes with the context."""
        self.stays = False
        """Whether it stays with the process instead."""
        self.batches = 0
        self.driver = Driver(self.held)
        self._model = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
        self._numbers = itertools.count(1)
        self._memory: dict[int, np.ndarray[Any, Any]] = {}
        self._streams: dict[int, Any] = {}

    def install(self, monkeypatch: pytest.MonkeyPatch) -> "StandIn":
        cuda = self._pycuda()
        package = ModuleType("pycuda")
        package.driver = cuda  # type: ignore[attr-defined]
        for name, module in {"pycuda": package, "pycuda.driver": cuda}.items():
            monkeypatch.setitem(sys.modules, name, module)
        for api in ("tensorrt", "tensorrt_rtx"):
            monkeypatch.setitem(sys.modules, api, self._tensorrt(api))
        monkeypatch.setattr(gpu, "_driver", lambda: self.driver)
        return self

    def _make(self, kind: str) -> str:
        name = f"{kind} {next(self._numbers)}"
        self.held.append(name)
        return name

    def _free(self, name: str) -> None:
        if name in self.held:
            self.held.remove(name)
            self.freed.append(name.split(maxsplit=1)[0])

    def _cuda_call(self, name: str) -> None:
        assert self.is_current, "no context is current"
        self.threads.add(threading.get_ident())
        self.calls.append(name)
        if self.fault is not None:
            raise RuntimeError(f"{name} failed: {self.fault}")

    def _pycuda(self) -> ModuleType:
        stand_in, cuda = self, ModuleType("pycuda.driver")

        class Context:
            def __init__(self) -> None:
                self.name = stand_in._make("context")
                self.pushed = 0

            def push(self) -> None:
                self.pushed += 1
                stand_in.is_current = True

            def pop(self) -> None:
                self.pushed -= 1
                stand_in.is_current = self.pushed > 0

            def detach(self) -> None:
                assert self.pushed == 0
                stand_in._free(self.name)

        class Device:
            def __init__(self, ordinal: int) -> None:
                assert ordinal == 0

            def retain_primary_context(self) -> Context:
                stand_in.threads.add(threading.get_ident())
                if stand_in.fails_at and not stand_in.stays:
                    stand_in.fault, stand_in.driver.broken = None, 0
                return Context()

        class Stream:
            name = ""

            def __init__(self, flags: int) -> None:
                stand_in._cuda_call("cuStreamCreate")
                self.name = stand_in._make("stream")
                self.handle = next(stand_in._numbers)
                self.waiting: list[Callable[[], None]] = []
                stand_in._streams[self.handle] = self.waiting

            def synchronize(self) -> None:
                stand_in._cuda_call("cuStreamSynchronize")
                while self.waiting:
                    self.waiting.pop(0)()

            def __del__(self) -> None:
                stand_in._free(self.name)

        class Allocation:
            def __init__(self, size: int) -> None:
                stand_in._cuda_call("cuMemAlloc")
                self.name = stand_in._make("memory")
                self.address = next(stand_in._numbers)
                stand_in._memory[self.address] = np.zeros(size, np.uint8)

            def __int__(self) -> int:
                return self.address

            def free(self) -> None:
                del stand_in._memory[self.address]
                stand_in._free(self.name)

        def memcpy_htod_async(dest: Allocation, src: Any, stream: Stream) -> None:
            stand_in._cuda_call("cuMemcpyHtoDAsync")
            memory = stand_in._memory[int(dest)]

            def copy() -> None:
                memory[: src.nbytes] = src.reshape(-1)

            stream.waiting.append(copy)

        def memcpy_dtoh_async(dest: Any, src: Allocation, stream: Stream) -> None:
            stand_in._cuda_call("cuMemcpyDtoHAsync")
            memory = stand_in._memory[int(src)]

            def copy() -> None:
                dest[...] = memory[: dest.nbytes].view(np.float32).reshape(dest.shape)

            stream.waiting.append(copy)

        cuda.init = lambda: None  # type: ignore[attr-defined]
        cuda.Device, cuda.Stream, cuda.mem_alloc = Device, Stream, Allocation  # type: ignore[attr-defined]
        cuda.memcpy_htod_async, cuda.memcpy_dtoh_async = memcpy_htod_async, memcpy_dtoh_async  # type: ignore[attr-defined]
        return cuda

    def _tensorrt(self, api: str) -> ModuleType:
        stand_in, trt = self, ModuleType(api)

        class ILogger:
            INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

            def log(self, severity: int, message: str) -> None: ...

        class CudaGraphStrategy:
            DISABLED, WHOLE_GRAPH_CAPTURE = range(2)

        class RuntimeConfig:
            cuda_graph_strategy = CudaGraphStrategy.DISABLED

        class ExecutionContext:
            def __init__(self, config: RuntimeConfig | None) -> None:
                self.name = stand_in._make("execution")
                self.addresses: dict[str, int] = {}
                self.rows = 0
                graphs = config is not None and config.cuda_graph_strategy == CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
                assert graphs == (api == "tensorrt_rtx")

            def set_optimization_profile_async(self, index: int, stream: int) -> bool:
                return index == 0 and stream in stand_in._streams

            def set_tensor_address(self, name: str, address: int) -> bool:
                self.addresses[name] = address
                return True

            def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
                self.rows = shape[0]
                return name == INPUT and shape[1:] == (SIZE, SIZE, 3)

            def execute_async_v3(self, stream: int) -> bool:
                stand_in.threads.add(threading.get_ident())
                stand_in.calls.append("execute")
                stand_in.batches += 1
                if stand_in.batches in stand_in.fails_at:
                    stand_in.fault, stand_in.driver.broken = "an illegal memory access was encountered", 700
                if stand_in.refuses == "execute_async_v3":
                    return False
                rows, where = self.rows, {name: stand_in._memory[at] for name, at in self.addresses.items()}

                def compute() -> None:
                    frames = where[INPUT][: rows * SIZE * SIZE * 3].reshape(rows, SIZE, SIZE, 3)
                    for name, output in zip((ERRORS, ERROR_MAP), stand_in.compute(frames), strict=True):
                        where[name][: output.nbytes] = output.reshape(-1).view(np.uint8)

                stand_in._streams[stream].append(compute)
                return True

            def __del__(self) -> None:
                stand_in._free(self.name)

        class CudaEngine:
            def __init__(self) -> None:
                self.name = stand_in._make("engine")

            def get_tensor_shape(self, name: str) -> tuple[int, ...]:
                return {ERRORS: (-1, GRID**2 + 1), ERROR_MAP: (-1, SIZE, SIZE)}[name]

            def create_runtime_config(self) -> RuntimeConfig:
                return RuntimeConfig()

            def create_execution_context(self, config: RuntimeConfig | None = None) -> ExecutionContext | None:
                return None if stand_in.refuses == "create_execution_context" else ExecutionContext(config)

            def __del__(self) -> None:
                stand_in._free(self.name)

        class Runtime:
            def __init__(self, logger: Any) -> None:
                self.name, self.logger = stand_in._make("runtime"), logger

            def deserialize_cuda_engine(self, content: bytes) -> CudaEngine | None:
                if content != PLAN:
                    self.logger.log(ILogger.ERROR, "magic tag does not match")
                    return None
                return CudaEngine()

            def get_engine_validity(self, content: bytes) -> tuple[str, int]:
                assert api == "tensorrt_rtx"
                return "EngineValidity.INVALID", 32

            def __del__(self) -> None:
                stand_in._free(self.name)

        trt.ILogger, trt.Runtime, trt.CudaGraphStrategy = ILogger, Runtime, CudaGraphStrategy  # type: ignore[attr-defined]
        trt.__version__ = VERSION  # type: ignore[attr-defined]
        return trt

    def compute(self, frames: Any) -> Any:
        """What the engine computes: errors and error maps."""
        return self._model.run([ERRORS, ERROR_MAP], {INPUT: frames})
