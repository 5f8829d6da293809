"""The backend on ONNX Runtime: on the CPU, or on a GPU by its CUDA provider."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.errors import ArtifactError, BackendError, one_line
from runtime.bundles.bundle import Bundle
from runtime.bundles.manifest import ERROR_MAP, ERRORS, INPUT, MANIFEST
from runtime.inference.backend import BackendFault, Pending, require_batch
from runtime.inference.onnx_runtime import REMEDY, import_onnx_runtime

Provider = Literal["cpu", "cuda"]
PROVIDERS: dict[Provider, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class _Running:
    def __init__(self, outputs: "Future[Any]") -> None:
        self._outputs = outputs

    def _output(self, index: int) -> NDArray[np.float32]:
        try:
            output: NDArray[np.float32] = self._outputs.result()[index]
        except Exception as error:  # ONNX Runtime's exceptions share no base class
            raise BackendFault(f"ONNX Runtime: {one_line(error)}") from error
        return output

    def errors(self) -> NDArray[np.float32]:
        return self._output(0)

    def error_maps(self) -> NDArray[np.float32]:
        return self._output(1)


class OnnxBackend:
    """ONNX Runtime, in a thread of its own: the caller judges one batch while the next is computed."""

    engine_sha256: str | None = None

    def __init__(self, bundle: Bundle, max_batch: int, threads: int = 0, provider: Provider = "cpu") -> None:
        """Open the bundle's graph. `threads` 0 lets ONNX Runtime use every core.

        Raises BackendError where ONNX Runtime refuses the graph, or has not the provider that was asked for;
        ArtifactError where the graph is not the one that the manifest tells of.
        """
        ort = import_onnx_runtime()
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        # The cores are shared with what decodes frames: small portions of work, and no core kept busy with waiting.
        options.add_session_config_entry("session.dynamic_block_base", "4")
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._shape = (max_batch, bundle.manifest.height, bundle.manifest.width, 3)
        if PROVIDERS[provider] not in ort.get_available_providers():
            raise BackendError(
                f"this ONNX Runtime {ort.__version__} has no {PROVIDERS[provider]}; {REMEDY.format(extra=provider)}."
            )
        if provider != "cpu":
            ort.preload_dlls()  # CUDA and cuDNN from NVIDIA's pip packages lie where no loader looks
        model = bundle.read_model()
        errors: Any = None
        try:
            self._session = ort.InferenceSession(model, options, providers=self._providers(provider))
            self._session.disable_fallback()
            used = self._session.get_providers()
            if used[0] == PROVIDERS[provider]:
                errors = self._session.run([ERRORS], {INPUT: self.new_batch()})[0]
        except Exception as error:  # ONNX Runtime's exceptions share no base class
            raise BackendError(f"{bundle.model}: ONNX Runtime refuses it: {one_line(error)}") from error
        if used[0] != PROVIDERS[provider]:  # it goes on without, silently, where a library is missing
            raise BackendError(
                f"ONNX Runtime has {PROVIDERS[provider]} but cannot load it here (it would use {used[0]}): pip install "
                "'.[cuda]' brings the CUDA and cuDNN that it was built with; or set another backend.kind."
            )
        if errors.shape != (expected := (max_batch, len(bundle.manifest.thresholds.values))):
            raise ArtifactError(
                f"{bundle.model} gives errors {errors.shape}, and {MANIFEST} tells of {expected}; export it again."
            )
        self._thread = ThreadPoolExecutor(1, "inference")
        self.name = f"onnxruntime-{ort.__version__}/{provider}"
        self.max_batch = max_batch
        self.depth = 1

    def new_batch(self) -> NDArray[np.uint8]:
        """See Backend."""
        return np.zeros(self._shape, np.uint8)

    def submit(self, frames_bgr_u8: NDArray[np.uint8]) -> Pending:
        """See Backend."""
        require_batch(frames_bgr_u8, self._shape)
        return _Running(self._thread.submit(self._session.run, [ERRORS, ERROR_MAP], {INPUT: frames_bgr_u8}))

    def close(self) -> None:
        """See Backend."""
        self._thread.shutdown()
        self._session = None

    def _providers(self, provider: Provider) -> list[str | tuple[str, dict[str, str]]]:
        """With the one that computes what the first leaves over."""
        if provider == "cpu":
            return [PROVIDERS["cpu"]]
        # With TF32 a float32 product keeps 10 bits, and the bundle is not the same detector.
        return [(PROVIDERS["cuda"], {"use_tf32": "0"}), PROVIDERS["cpu"]]
