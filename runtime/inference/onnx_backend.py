"""The backend on ONNX Runtime: on the CPU, or on a GPU by its CUDA provider."""

import contextlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import ModuleType
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.errors import ArtifactError, BackendError, one_line
from runtime.batching.fitting import fit_on_cpu
from runtime.bundles.bundle import Bundle
from runtime.bundles.manifest import ERROR_MAP, ERRORS, INPUT, MANIFEST
from runtime.inference.backend import SPARE, BackendFault, Pending, batch_sizes, require_batch
from runtime.inference.cuda import gpu
from runtime.inference.onnx_runtime import REMEDY, import_onnx_runtime

T = TypeVar("T")
Provider = Literal["cpu", "cuda"]
PROVIDERS: dict[Provider, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
CUDA_OPTIONS = {
    # With TF32 a float32 product keeps 10 bits, and the bundle is not the same detector.
    "use_tf32": "0",
    # The exhaustive search, ONNX Runtime's own choice, tries every algorithm.
    "cudnn_conv_algo_search": "HEURISTIC",
}


class OnnxBackend:
    """ONNX Runtime, in a thread of its own: the caller judges one batch while the next is computed."""

    engine_sha256: str | None = None
    gpu_memory = ""
    depth = 1
    fit = staticmethod(fit_on_cpu)

    def __init__(
        self, bundle: Bundle, max_batch: int, threads: int = 0, provider: Provider = "cpu", device: int = 0
    ) -> None:
        """Open the bundle's graph. `threads` 0 lets ONNX Runtime use every core; `device` is the GPU's number.

        Raises BackendError where ONNX Runtime refuses the graph, or has not the provider that was asked for;
        ArtifactError where the graph is not the one that the manifest tells of.
        """
        ort = import_onnx_runtime()
        self._shape = (max_batch, bundle.manifest.height, bundle.manifest.width, 3)
        self._provider, self._device = provider, device
        self._sessions: dict[int, Any] = {}
        self._locked: dict[int, NDArray[np.uint8]] = {}
        self._ready: deque[NDArray[np.uint8]] = deque()
        if PROVIDERS[provider] not in ort.get_available_providers():
            raise BackendError(
                f"this ONNX Runtime {ort.__version__} has no {PROVIDERS[provider]}; {REMEDY.format(extra=provider)}."
            )
        if provider != "cpu":
            ort.preload_dlls()  # CUDA and cuDNN from NVIDIA's pip packages lie where no loader looks
        model = bundle.read_model()
        # CUDA belongs to the thread that uses it first: everything is done on this one.
        self._thread = ThreadPoolExecutor(1, "inference")
        self.name, self.kind = f"onnxruntime-{ort.__version__}/{provider}", f"onnxruntime-{provider}"
        self.max_batch = max_batch
        try:
            errors = self._thread.submit(self._open, ort, model, threads).result()
            if errors.shape != (expected := (max_batch, len(bundle.manifest.thresholds.values))):
                raise ArtifactError(
                    f"{bundle.model} gives errors {errors.shape}, and {MANIFEST} says {expected}; export it again."
                )
        except (ArtifactError, BackendError):
            self.close()
            raise
        except Exception as error:  # ONNX Runtime's exceptions share no base class
            self.close()
            raise BackendError(f"{bundle.model}: ONNX Runtime refuses it: {one_line(error)}") from error

    def _open(self, ort: ModuleType, model: bytes, threads: int) -> NDArray[np.float32]:
        """Open the graph, judge batches of every size that will come, and give the errors of the largest.

        The buffers are made too, once CUDA's context is there.
        """
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        # The cores are shared with what decodes frames: small portions of work, and no core kept busy with waiting.
        options.add_session_config_entry("session.dynamic_block_base", "4")
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        frames = np.zeros(self._shape, np.uint8)
        # With CUDA a session makes its convolutions' plans again whenever the size of its batch changes, which took 0.2
        # to 0.7 s on an H200: each size has a session of its own, as it has an engine's context.
        for size in (self.max_batch,) if self.is_on_cpu else batch_sizes(self.max_batch):
            self._sessions[size] = self._new_session(ort, model, options)
            errors = self._run(frames[:size])[0]
        if self.is_on_cpu:
            return errors
        try:
            self._ready.extend(self._lock() for _ in range(self.depth + SPARE))
        except (gpu.CudaError, OSError) as error:
            raise BackendError(f"{self.name}: cannot get page-locked memory ({one_line(error)}).") from error
        return errors

    def _new_session(self, ort: ModuleType, model: bytes, options: Any) -> Any:
        # Else what fails on a GPU is printed, and done again on the CPU.
        session = ort.InferenceSession(model, options, providers=self._providers(), enable_fallback=0)
        used, wanted = session.get_providers()[0], PROVIDERS[self._provider]
        if used != wanted:  # it goes on without, silently, where a library is missing
            raise BackendError(
                f"ONNX Runtime has {wanted} but cannot load it here (it would use {used}): pip install "
                "'.[cuda]' brings the CUDA and cuDNN that it was built with; or set another backend.kind."
            )
        return session

    @property
    def is_on_cpu(self) -> bool:
        """Whether no GPU computes."""
        return self._provider == "cpu"

    def new_batch(self) -> NDArray[np.uint8]:
        """See Backend."""
        if self.is_on_cpu:
            return np.zeros(self._shape, np.uint8)
        return self._ready.popleft() if self._ready else self.do(self._lock).result()

    def submit(self, frames_bgr_u8: NDArray[np.uint8]) -> Pending:
        """See Backend."""
        require_batch(frames_bgr_u8, self._shape)
        return _Running(self, self.do(self._run, frames_bgr_u8))

    def close(self) -> None:
        """See Backend."""
        with contextlib.suppress(RuntimeError):  # it was closed before
            self._thread.submit(self._end)
        self._thread.shutdown()

    def do(self, step: Callable[..., T], *arguments: Any) -> "Future[T]":
        """Let the thread do `step`, after all that it was given before. A failure is a BackendFault."""
        try:
            return self._thread.submit(self._guarded, step, *arguments)
        except RuntimeError:
            raise BackendFault("the backend was closed") from None

    def _guarded(self, step: Callable[..., T], *arguments: Any) -> T:
        try:
            return step(*arguments)
        except Exception as error:  # ONNX Runtime's exceptions share no base class
            is_sticky = not self.is_on_cpu and gpu.has_sticky_error()
            raise BackendFault(f"ONNX Runtime: {one_line(error)}", is_sticky) from error

    def _run(self, frames_bgr_u8: NDArray[np.uint8]) -> tuple[NDArray[np.float32], Any]:
        """Judge; give the errors, and the error maps where they are computed: few are ever asked for."""
        rows = len(frames_bgr_u8)
        size = next(size for size in self._sessions if size >= rows)
        if not self.is_on_cpu and size > rows:
            frames_bgr_u8 = self._locked[frames_bgr_u8.ctypes.data][:size]  # filled up with what was there before
        session = self._sessions[size]
        binding = session.io_binding()
        binding.bind_cpu_input(INPUT, frames_bgr_u8)
        binding.bind_output(ERRORS, "cpu")
        binding.bind_output(ERROR_MAP, self._provider, 0 if self.is_on_cpu else self._device)
        session.run_with_iobinding(binding)
        errors, maps = binding.get_outputs()
        return errors.numpy()[:rows], maps

    def _lock(self) -> NDArray[np.uint8]:
        buffer = gpu.page_lock(self._shape, np.uint8)
        self._locked[buffer.ctypes.data] = buffer
        return buffer

    def _end(self) -> None:
        for locked in self._locked.values():
            with contextlib.suppress(Exception):  # where the GPU is lost there is nothing to unlock
                gpu.page_unlock(locked)
        self._locked, self._sessions = {}, {}

    def _providers(self) -> list[str | tuple[str, dict[str, str]]]:
        """With the one that computes what the first leaves over."""
        cpu = PROVIDERS["cpu"]
        return (
            [cpu]
            if self.is_on_cpu
            else [
                (PROVIDERS[self._provider], {**CUDA_OPTIONS, "device_id": str(self._device)}),
                cpu,
            ]
        )


class _Running:
    """A batch under way."""

    def __init__(self, backend: OnnxBackend, outputs: "Future[tuple[NDArray[np.float32], Any]]") -> None:
        self._backend, self._outputs = backend, outputs

    def errors(self) -> NDArray[np.float32]:
        return self._outputs.result()[0]

    def error_maps(self) -> NDArray[np.float32]:
        errors, maps = self._outputs.result()
        # On the CPU they are there, and need not wait for the batch that is under way.
        copied: NDArray[np.float32] = maps.numpy() if self._backend.is_on_cpu else self._backend.do(maps.numpy).result()
        return copied[: len(errors)]
