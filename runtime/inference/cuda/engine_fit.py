"""Engines: which of a bundle's runs on this machine. Pure, except for the look at the machine.

An engine runs in the version that built it, on the GPU it was built for, and nowhere else: what does not fit is refused
with the reason and the command that mends it, and never tried.
"""

import importlib
import platform
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from shlex import quote
from types import ModuleType
from typing import Any

from core.errors import BackendError, one_line
from runtime.bundles.bundle import Bundle
from runtime.bundles.manifest import Engine
from runtime.inference.cuda.gpu import Gpu, NoGpuError, find_gpu, sm

API_MODULES = {"tensorrt": ("tensorrt",), "tensorrt_rtx": ("tensorrt_rtx", "tensorrt_rtx_bindings")}
"""Modules that serve an API; the plain name stands for a package that only brings the bindings along."""
PLATFORM = f"{sys.platform}-{platform.machine()}"
"""Of this machine: `linux-x86_64`, for one."""
EXTRAS = {
    "tensorrt": "'.[tensorrt]'",
    "tensorrt_rtx": "'.[rtx]'",
    "pycuda": "pycuda==2026.1; without CUDA's toolkit: bash tools/pycuda-wheel.sh wheels && pip install wheels/*.whl",
}


@dataclass(frozen=True)
class Machine:
    """What this machine has to run an engine with."""

    gpu: Gpu | None
    platform: str
    """`linux-x86_64`, for one."""
    versions: Mapping[str, str]
    """Of the APIs and of pycuda, where they load."""
    missing: Mapping[str, str]
    """Why the others cannot, and under `gpu` why there is none."""


def look(bundle: Bundle, device: int = 0) -> Machine:
    """Look at this machine, for what the engines of `bundle` need; `device` is the GPU's number."""
    versions: dict[str, str] = {}
    missing: dict[str, str] = {}
    for api in sorted({engine.api for engine in bundle.manifest.engines}):
        try:
            versions[api] = str(import_api(api).__version__)
        except ImportError as error:
            missing[api] = one_line(error)
    try:
        versions["pycuda"] = version("pycuda")  # it cannot be imported without a driver, which the GPU's check tells
    except PackageNotFoundError:
        missing["pycuda"] = "not installed"
    gpu = None
    try:
        gpu = find_gpu(device)
    except NoGpuError as error:
        missing["gpu"] = str(error)
    return Machine(gpu, PLATFORM, versions, missing)


def import_api(api: str) -> ModuleType:
    """Import the Python module of an engine's `api`. Raises ImportError."""
    *others, last = API_MODULES[api]
    for name in others:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError:
            continue
    return importlib.import_module(last)


def made(trt: Any, factory: Any, logger: Any) -> Any:
    """Make TensorRT's `Runtime` or `Builder`. Raises BackendError where it makes none."""
    try:
        return factory(logger)
    except TypeError as error:  # pybind11: the factory function returned nullptr
        raise BackendError(
            f"TensorRT {trt.__version__} does not start: the NVIDIA driver is too old for it; `nvidia-smi` shows the "
            "CUDA that it serves. Update the driver, or build with an older TensorRT."
        ) from error


def choose_engine(bundle: Bundle, machine: Machine, max_batch: int) -> Engine:
    """Give the first engine of `bundle` that runs here with batches of up to `max_batch`.

    Raises BackendError with what keeps each from running, and the command that mends it.
    """
    reasons = []
    for engine in bundle.manifest.engines:
        reason = why_not(engine, bundle.manifest.model_sha256, machine, max_batch)
        if reason is None:
            return engine
        reasons.append(f"{engine.file}: {reason}")
    if machine.gpu is None:
        raise BackendError(
            f"no TensorRT engine can run here: {machine.missing['gpu']}; install its driver, or set another "
            "backend.kind."
        )
    found = ". ".join(reasons) or "the bundle has no engine"
    add, size = f"export-engine add {quote(str(bundle.path))} --target", f"--max-batch {max_batch}"
    raise BackendError(
        f"no TensorRT engine runs on {machine.gpu.name}: {found}. "
        f"Build one: `{add} {machine.gpu.target} {size}` on any machine with TensorRT for RTX (RTX GPUs), "
        f"or `{add} here {size}` on this one with TensorRT."
    )


def why_not(engine: Engine, model_sha256: str, machine: Machine, max_batch: int) -> str | None:
    """Say what keeps `engine` from running on `machine`; None: nothing."""
    if machine.gpu is None:
        return machine.missing["gpu"]
    return next(_obstacles(engine, model_sha256, machine, machine.gpu, max_batch), None)


def _obstacles(engine: Engine, model_sha256: str, machine: Machine, gpu: Gpu, max_batch: int) -> Iterator[str]:
    package = engine.api.replace("_", "-")
    for name in (engine.api, "pycuda"):
        if name in machine.missing:
            yield f"{name} is missing ({machine.missing[name]}); pip install {EXTRAS[name]}"
    here = machine.versions.get(engine.api)
    if here != engine.version:
        yield f"built with {engine.api} {engine.version}, here is {here}; pip install {package}=={engine.version}"
    if engine.platform != machine.platform:
        yield f"built for {engine.platform}, this is {machine.platform}"
    if engine.compute_capability != gpu.compute_capability:
        yield f"built for {sm(engine.compute_capability)}, this GPU is {gpu.target}"
    # Full TensorRT tunes an engine to the GPU it was built on: another of the same capability may refuse it, or crash.
    if engine.gpu not in (None, gpu.name):
        yield f"built on {engine.gpu}, and only for that kind of GPU"
    if engine.multiprocessors not in (None, gpu.multiprocessors):
        yield f"built on {engine.gpu} with {engine.multiprocessors} multiprocessors, this one has {gpu.multiprocessors}"
    if engine.model_sha256 != model_sha256:
        yield "built from another model.onnx"
    least, _best, most = engine.batches
    if least > 1 or most < max_batch:
        yield f"takes batches of {least} to {most}, not 1 to {max_batch}; set batching.max_batch to {most} at most"
