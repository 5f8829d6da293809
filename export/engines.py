"""Engines: model.onnx compiled for a GPU, through the one API that TensorRT and TensorRT for RTX share.

TensorRT for RTX builds ahead, for named GPUs on any machine. Full TensorRT measures its kernels on the GPU that
will run them, so it builds on that machine. In both every tensor has the type that the graph says.
"""

import os
import platform
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from core.errors import BackendError, ConfigError
from export.step import step
from runtime.bundle import INPUT, SIGNATURE, Bundle, Engine, load_bundle, save_manifest, sha256_of
from runtime.engine import import_api
from runtime.gpu import find_gpu

FOLDER = "engines"
USUAL_BATCH = 8
HERE = "here"
INSTALL = {
    "tensorrt": "install NVIDIA's TensorRT 10 or 11 here: pip install 'p-wae[gpu]', or its container",
    "tensorrt_rtx": "pip install 'p-wae[rtx]'",
}


@dataclass(frozen=True)
class Target:
    """What an engine is built for, and with what."""

    api: Literal["tensorrt", "tensorrt_rtx"]
    compute_capability: tuple[int, int]
    gpu: str | None
    """Name of the one GPU; None: every GPU of that capability."""

    @property
    def name(self) -> str:
        """`tensorrt_rtx-sm89`, the file's name without its suffix."""
        return "{}-sm{}{}".format(self.api, *self.compute_capability)


def parse_target(text: str) -> Target:
    """Read `sm89`, an RTX GPU's compute capability, or `here`, the GPU of this machine.

    Raises ConfigError where it is neither or TensorRT for RTX knows no such GPU, BackendError where the API or, for
    `here`, the GPU cannot be had.
    """
    if text == HERE:
        gpu = find_gpu()
        if isinstance(gpu, str):
            raise BackendError(f"--target {HERE}: {gpu}; build on the machine that will run it, or name one: sm89.")
        _api("tensorrt")
        return Target("tensorrt", gpu.compute_capability, gpu.name)
    match = re.fullmatch(r"sm(\d+)(\d)", text)
    trt = _api("tensorrt_rtx")
    known = sorted(
        (name.lower() for name in trt.ComputeCapability.__members__ if name.startswith("SM")),
        key=lambda name: int(name[2:]),
    )
    if match is None or text not in known:
        raise ConfigError(f"--target {text}: TensorRT for RTX builds for {', '.join(known)}; or give `{HERE}`.")
    return Target("tensorrt_rtx", (int(match[1]), int(match[2])), None)


def build_engine(model: Path, target: Target, max_batch: int, bundle: Path) -> Engine:
    """Build an engine from `model` into `bundle`/engines, with the builder's log beside it.

    Raises BackendError where the builder refuses, with its own first error.
    """
    trt = _api(target.api)
    folder = bundle / FOLDER
    folder.mkdir(exist_ok=True)
    started_s = time.perf_counter()
    logger = _logger(trt, folder / f"{target.name}.log")
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(model.read_bytes()):
        error = parser.get_error(0)
        raise BackendError(f"{target.name}: the parser refuses {error.node_name()}: {' '.join(error.desc().split())}")
    batches = (1, min(USUAL_BATCH, max_batch), max_batch)
    config = _config(trt, builder, tuple(network.get_input(0).shape)[1:], batches)
    if target.api == "tensorrt_rtx":
        config.num_compute_capabilities = 1
        config.set_compute_capability(trt.ComputeCapability.__members__[target.name.rpartition("-")[2].upper()], 0)
        plan = builder.build_serialized_network(network, config)
    else:
        plan = _build_timed(builder, network, config, _timing_cache(trt, target))
    if plan is None:
        raise BackendError(f"{target.name}: TensorRT builds no engine: {logger.first_error}")
    file = folder / f"{target.name}.plan"
    file.write_bytes(plan)
    return Engine(
        file=f"{FOLDER}/{file.name}",
        api=target.api,
        version=str(trt.__version__),
        compute_capability=target.compute_capability,
        gpu=target.gpu,
        platform=f"{sys.platform}-{platform.machine()}",
        batches=batches,
        model_sha256=sha256_of(model),
        build_s=time.perf_counter() - started_s,
    )


def _config(trt: Any, builder: Any, shape: tuple[int, ...], batches: tuple[int, int, int]) -> Any:
    config = builder.create_builder_config()
    # Of a float32 product TF32 keeps 10 bits: the bundle would not be the same detector.
    config.clear_flag(trt.BuilderFlag.TF32)
    profile = builder.create_optimization_profile()
    profile.set_shape(INPUT, *((batch, *shape) for batch in batches))
    config.add_optimization_profile(profile)
    return config


def _build_timed(builder: Any, network: Any, config: Any, cache_file: Path) -> Any:
    """Build, and keep the kernels' timings for the next build on this GPU."""
    cache = config.create_timing_cache(cache_file.read_bytes() if cache_file.is_file() else b"")
    config.set_timing_cache(cache, ignore_mismatch=False)
    plan = builder.build_serialized_network(network, config)
    if plan is not None:
        cache_file.parent.mkdir(parents=True, exist_ok=True)
        cache_file.write_bytes(config.get_timing_cache().serialize())
    return plan


def _timing_cache(trt: Any, target: Target) -> Path:
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    gpu = re.sub(r"\W+", "-", target.gpu or "")
    return root / "p-wae" / f"{target.name}-{trt.__version__}-{gpu}.timing"


def _api(name: str) -> Any:
    try:
        return import_api(name)
    except ImportError as error:
        raise BackendError(f"{name} cannot be had here ({' '.join(str(error).split())}); {INSTALL[name]}.") from error


def _logger(trt: Any, file: Path) -> Any:
    """A logger that keeps the builder's words in `file` and its first error in `first_error`."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.first_error = "it gives no reason"
            self._is_new = True
            file.write_text("")

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR) and self._is_new:
                self._is_new = False
                self.first_error = " ".join(message.split())
            if severity != trt.ILogger.Severity.VERBOSE:
                with file.open("a") as log:
                    log.write(f"{severity.name}: {message}\n")

    return Logger()


def add_engines(bundle: Bundle, targets: Sequence[Target], max_batch: int) -> Bundle:
    """Build engines into a bundle that is there, in place of those for the same targets. A signature is taken away.

    The graph stays what it was. Raises BackendError.
    """
    with tempfile.TemporaryDirectory(prefix="pwae-engines-") as folder:
        work = Path(folder)
        built = []
        for target in targets:
            with step(f"build engine {target.name}"):
                built.append(build_engine(bundle.model, target, max_batch, work))
        kept = [engine for engine in bundle.manifest.engines if engine.file not in {new.file for new in built}]
        (bundle.path / SIGNATURE).unlink(missing_ok=True)
        shutil.copytree(work / FOLDER, bundle.path / FOLDER, dirs_exist_ok=True)
    fresh = {f"{FOLDER}/{target.name}{suffix}" for target in targets for suffix in (".plan", ".log")}
    files = {**bundle.manifest.files, **{name: sha256_of(bundle.path / name) for name in sorted(fresh)}}
    save_manifest(bundle.path, bundle.manifest.model_copy(update={"engines": (*kept, *built), "files": files}))
    return load_bundle(bundle.path)
