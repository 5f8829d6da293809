"""The choice of a backend: what `backend.kind` asks for, or, by `auto`, the fastest that this machine has.

What was asked for and is missing is an error with the remedy. `auto` chooses by what it sees and says why; what it
has chosen is then held to like what was asked for. Nothing is ever replaced by something slower in silence.
"""

import logging
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from core.errors import BackendError
from runtime.bundles.bundle import Bundle
from runtime.bundles.manifest import Engine
from runtime.inference.backend import Backend, BackendFault
from runtime.inference.cuda.engine_fit import Machine, choose_engine, look
from runtime.inference.onnx_backend import PROVIDERS, OnnxBackend, Provider
from runtime.inference.onnx_runtime import REMEDY, import_onnx_runtime
from runtime.inference.settings import BackendSettings, Kind

log = logging.getLogger(__name__)
PROVIDER_OF: dict[Kind, Provider] = {
    "onnxruntime-cuda": "cuda",
    "onnxruntime-cpu": "cpu",
}


@dataclass(frozen=True)
class Selection:
    """Who computes, and why."""

    kind: Kind
    """Never `auto`."""
    why: str
    engine: Engine | None = None
    """Where `kind` is `tensorrt`."""
    is_second_best: bool = False
    """Whether the machine has a GPU, or the bundle an engine, that is not used."""


def choose(kind: Kind, bundle: Bundle, max_batch: int, machine: Machine, providers: Collection[str]) -> Selection:
    """Choose for `machine`, whose ONNX Runtime has `providers`. Pure.

    Raises BackendError where no engine fits and `tensorrt` was asked for, or there is no GPU for what was.
    """
    if kind == "tensorrt":
        return Selection(kind, "asked for", choose_engine(bundle, machine, max_batch))
    if kind != "auto":
        if kind != "onnxruntime-cpu" and machine.gpu is None:
            raise BackendError(f"backend.kind {kind}: {machine.missing['gpu']}; set backend.kind: onnxruntime-cpu.")
        return Selection(kind, "asked for")
    try:
        engine = choose_engine(bundle, machine, max_batch)
        return Selection("tensorrt", f"{engine.file} fits this machine", engine)
    except BackendError as error:
        why = str(error)
    if machine.gpu is None:
        return Selection("onnxruntime-cpu", machine.missing["gpu"], is_second_best=bool(bundle.manifest.engines))
    if PROVIDERS["cuda"] in providers:
        return Selection("onnxruntime-cuda", why, is_second_best=True)
    why += f" This ONNX Runtime has no {PROVIDERS['cuda']} ({REMEDY.format(extra='cuda')})."
    return Selection("onnxruntime-cpu", why, is_second_best=True)


def choose_here(settings: BackendSettings, bundle: Bundle, max_batch: int) -> Selection:
    """Look at this machine and choose. Raises BackendError."""
    providers = import_onnx_runtime().get_available_providers()
    choice = choose(settings.kind, bundle, max_batch, look(bundle, settings.device), providers)
    if settings.frames == "gpu" and choice.engine is None:
        raise BackendError(
            f"backend.frames: gpu needs backend.kind: tensorrt, and {choice.kind} computes here ({choice.why}); "
            "set backend.frames: cpu."
        )
    return choice


def open_backend(settings: BackendSettings, bundle: Bundle, max_batch: int) -> Backend:
    """Open the backend for `bundle` that `settings` lead to on this machine; it has judged once.

    Raises BackendError, and ArtifactError where a file of the bundle was altered since it was checked.
    """
    choice = choose_here(settings, bundle, max_batch)
    level = logging.WARNING if choice.is_second_best else logging.INFO
    log.log(level, "backend chosen kind=%s asked=%s why=%r", choice.kind, settings.kind, choice.why)
    if choice.engine is not None:
        from runtime.inference.cuda.tensorrt_backend import TensorRtBackend

        return TensorRtBackend(bundle, choice.engine, max_batch, settings.device, settings.frames)
    return OnnxBackend(bundle, max_batch, settings.threads, PROVIDER_OF[choice.kind], settings.device)


@contextmanager
def at_work(backend: Backend) -> Iterator[Backend]:
    """Close it in the end; for who judges some pictures and keeps no line going. Raises BackendError where it fails."""
    with closing(backend):
        try:
            yield backend
        except BackendFault as fault:
            remedy = "start it again, and look at this machine (memory, GPU)"
            raise BackendError(f"{backend.name} failed under way: {fault}; {remedy}.") from fault
