"""A real GPU, for the tests that want one.

PWAE_TEST_GPU=1 says that there is one: then what the machine has and cannot be used is a failure, never skipped.
"""

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from core.errors import BackendError
from runtime.bundles.bundle import Bundle
from runtime.inference.backend import Backend
from runtime.inference.cuda.engine_fit import import_api
from runtime.inference.cuda.gpu import Gpu, NoGpuError, find_gpu
from runtime.inference.onnx_backend import PROVIDERS
from runtime.inference.selection import open_backend
from runtime.inference.settings import BackendSettings


def has_gpu() -> bool:
    try:
        find_gpu()
    except NoGpuError:
        return False
    return True


def require_gpu() -> Gpu:
    try:
        return find_gpu()
    except NoGpuError as error:
        (pytest.fail if os.environ.get("PWAE_TEST_GPU") else pytest.skip)(str(error))


def prepare(kind: str, bundle: Path) -> None:
    """Give the bundle what `kind` needs here; the test is skipped where this machine has not that backend."""
    if kind == "tensorrt":
        build_engine(bundle)
    elif PROVIDERS["cuda"] not in onnxruntime.get_available_providers():
        pytest.skip(f"ONNX Runtime {onnxruntime.__version__} is a CPU's build here")


def build_engine(bundle: Path) -> None:
    """Add an engine for this machine's GPU: with TensorRT for RTX where it names it, else with TensorRT.

    A machine that has neither for its GPU has no such backend, and the test is skipped.
    """
    gpu, tried = require_gpu(), []
    if not _has_tensorrt(gpu):
        pytest.skip(f"no TensorRT is here, and TensorRT for RTX names no {gpu.target}")
    for target in (gpu.target, "here"):
        arguments = ["add", str(bundle), "--target", target]
        command = [sys.executable, "-c", "from export.cli import export_engine; export_engine()", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
        tried.append(done.stderr.strip().splitlines()[-1:])
    pytest.fail(f"no engine can be built here: {tried}")


def _has_tensorrt(gpu: Gpu) -> bool:
    with contextlib.suppress(ImportError):
        import_api("tensorrt")
        return True
    with contextlib.suppress(ImportError):
        return gpu.target.upper() in import_api("tensorrt_rtx").ComputeCapability.__members__
    return False


def open_on_gpu(kind: Any, bundle: Bundle, max_batch: int) -> Backend:
    """Open it; an ONNX Runtime that is built for a CPU is no failure, one built for a GPU that does not open is."""
    try:
        return open_backend(BackendSettings(kind=kind), bundle, max_batch)
    except BackendError as error:
        if kind == "onnxruntime-cuda" and PROVIDERS["cuda"] not in onnxruntime.get_available_providers():
            pytest.skip(str(error))
        raise
