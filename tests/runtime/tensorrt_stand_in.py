"""A stand-in for TensorRT and TensorRT for RTX: engines that compute with ONNX Runtime, in memory that is bytes."""

import threading
from types import ModuleType
from typing import TYPE_CHECKING, Any

from runtime.bundles.manifest import ERROR_MAP, ERRORS, INPUT
from tests.runtime.pictures import GRID, SIZE

if TYPE_CHECKING:
    from tests.runtime.cuda_stand_in import StandIn

PLAN = b"the plan"
VERSION = "11.4.0.106"
SCRATCH_BYTES = 1000


def tensorrt_stand_in(stand_in: "StandIn", api: str) -> ModuleType:
    """The module that serves an API."""
    trt = ModuleType(api)

    class ILogger:
        INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

        def log(self, severity: int, message: str) -> None: ...

    class CudaGraphStrategy:
        DISABLED, WHOLE_GRAPH_CAPTURE = range(2)

    class ExecutionContextAllocationStrategy:
        STATIC, ON_PROFILE_CHANGE, USER_MANAGED = range(3)

    class DynamicShapesKernelSpecializationStrategy:
        LAZY, EAGER, NONE = range(3)

    class RuntimeCache:
        def deserialize(self, blob: bytes) -> bool:
            stand_in.kept_kernels = blob
            return blob.startswith(b"kernels")

        def serialize(self) -> bytes:
            return b"kernels of every size"

    class RuntimeConfig:
        """Only TensorRT for RTX is asked for one."""

        cuda_graph_strategy = CudaGraphStrategy.DISABLED
        dynamic_shapes_kernel_specialization_strategy = DynamicShapesKernelSpecializationStrategy.LAZY
        cache: RuntimeCache | None = None

        def create_runtime_cache(self) -> RuntimeCache:
            return RuntimeCache()

        def set_runtime_cache(self, cache: RuntimeCache) -> bool:
            self.cache = cache
            return True

    class ExecutionContext:
        def __init__(self, how: "RuntimeConfig | int") -> None:
            self.name = stand_in.make("execution")
            self.addresses: dict[str, int] = {}
            self.rows = 0
            self.scratch = 0
            if isinstance(how, RuntimeConfig):
                assert api == "tensorrt_rtx"
                assert how.cuda_graph_strategy == CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
                eager = DynamicShapesKernelSpecializationStrategy.EAGER
                assert how.dynamic_shapes_kernel_specialization_strategy == eager
                assert how.cache is not None
            else:
                assert api == "tensorrt"
                assert how == ExecutionContextAllocationStrategy.USER_MANAGED
            self.needs_scratch = api == "tensorrt"

        def set_device_memory(self, memory: int, size: int) -> None:
            assert size == SCRATCH_BYTES <= stand_in.memory[memory].nbytes
            self.scratch = memory

        def set_optimization_profile_async(self, index: int, stream: int) -> bool:
            return index == 0 and stream in stand_in.streams

        def set_tensor_address(self, name: str, address: int) -> bool:
            self.addresses[name] = address
            return True

        def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
            self.rows = shape[0]
            return name == INPUT and shape[1:] == (SIZE, SIZE, 3)

        def execute_async_v3(self, stream: int) -> bool:
            stand_in.threads.add(threading.get_ident())
            stand_in.calls.append(f"execute {self.rows}")
            assert bool(self.scratch) == self.needs_scratch
            if stand_in.refuses == "execute_async_v3":
                return False
            rows, where = self.rows, {name: stand_in.memory[at] for name, at in self.addresses.items()}

            def compute() -> None:
                frames = where[INPUT][: rows * SIZE * SIZE * 3].reshape(rows, SIZE, SIZE, 3)
                for name, output in zip((ERRORS, ERROR_MAP), stand_in.compute(frames), strict=True):
                    where[name][: output.nbytes] = output.reshape(-1).view("u1")

            stand_in.streams[stream].append(compute)
            return True

        def __del__(self) -> None:
            stand_in.free(self.name)

    class CudaEngine:
        device_memory_size_v2 = SCRATCH_BYTES

        def __init__(self) -> None:
            self.name = stand_in.make("engine")

        def get_tensor_shape(self, name: str) -> tuple[int, ...]:
            return {ERRORS: (-1, GRID**2 + 1), ERROR_MAP: (-1, SIZE, SIZE)}[name]

        def create_runtime_config(self) -> RuntimeConfig:
            return RuntimeConfig()

        def create_execution_context(self, how: "RuntimeConfig | int") -> ExecutionContext | None:
            return None if stand_in.refuses == "create_execution_context" else ExecutionContext(how)

        def __del__(self) -> None:
            stand_in.free(self.name)

    class Runtime:
        name = ""

        def __init__(self, logger: Any) -> None:
            if stand_in.refuses == "Runtime":
                raise TypeError("pybind11::init(): factory function returned nullptr")
            self.name, self.logger = stand_in.make("runtime"), logger

        def deserialize_cuda_engine(self, content: bytes) -> CudaEngine | None:
            if content != PLAN:
                self.logger.log(ILogger.ERROR, "magic tag does not match")
                return None
            return CudaEngine()

        def get_engine_validity(self, content: bytes) -> tuple[str, int]:
            assert api == "tensorrt_rtx"
            return "EngineValidity.INVALID", 32

        def __del__(self) -> None:
            stand_in.free(self.name)

    names: dict[str, Any] = {
        "ILogger": ILogger,
        "Runtime": Runtime,
        "CudaGraphStrategy": CudaGraphStrategy,
        "ExecutionContextAllocationStrategy": ExecutionContextAllocationStrategy,
        "DynamicShapesKernelSpecializationStrategy": DynamicShapesKernelSpecializationStrategy,
        "__version__": VERSION,
    }
    vars(trt).update(names)
    return trt
