"""Engines: model.onnx compiled for a GPU, through the one API that TensorRT and TensorRT for RTX share.

TensorRT for RTX builds ahead, for named GPUs on any machine. Full TensorRT measures its kernels on the GPU that
will run them, so it builds on that machine. In both every tensor has the type that the graph says.
"""

import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import BackendError, ConfigError, one_line
from core.files import sha256_of
from core.progress import step
from runtime.batching.settings import USUAL_BATCH
from runtime.bundles.bundle import Bundle, load_bundle, save_manifest
from runtime.bundles.manifest import INPUT, SIGNATURE, Engine, EngineApi
from runtime.inference.cuda.engine_fit import EXTRAS, PLATFORM, import_api, made
from runtime.inference.cuda.gpu import NoGpuError, find_gpu, sm
from runtime.inference.cuda.kernel_cache import read_cache, write_cache

FOLDER = "engines"
HERE = "here"


@dataclass(frozen=True)
class Target:
    """What an engine is built for, and with what."""

    api: EngineApi
    compute_capability: tuple[int, int]
    gpu: str | None
    """Name of the one GPU; None: every GPU of that capability."""
    multiprocessors: int | None = None
    """Of the one GPU."""

    @property
    def name(self) -> str:
        """`tensorrt_rtx-sm89`, the file's name without its suffix."""
        return f"{self.api}-{sm(self.compute_capability)}"


def parse_target(text: str) -> Target:
    """Read `sm89`, an RTX GPU's compute capability, or `here`, the GPU of this machine.

    Raises ConfigError where it is neither or TensorRT for RTX knows no such GPU, BackendError where the API is
    missing or, for `here`, the GPU.
    """
    if text == HERE:
        try:
            gpu = find_gpu()
        except NoGpuError as error:
            remedy = "build on the machine that will run it, or name one: sm89."
            raise BackendError(f"--target {HERE}: {error}; {remedy}") from error
        _api("tensorrt")
        return Target("tensorrt", gpu.compute_capability, gpu.name, gpu.multiprocessors)
    trt = _api("tensorrt_rtx")
    known = {name.lower(): name[2:] for name in trt.ComputeCapability.__members__ if name.startswith("SM")}
    if text not in known:
        names = ", ".join(sorted(known, key=lambda name: int(known[name])))
        raise ConfigError(f"--target {text}: TensorRT for RTX builds for {names}; or give `{HERE}`.")
    return Target("tensorrt_rtx", (int(known[text][:-1]), int(known[text][-1])), None)


def build_engine(model: Path, target: Target, max_batch: int, bundle: Path) -> Engine:
    """Build an engine from `model` into `bundle`/engines, with the builder's log beside it.

    Raises BackendError where the builder refuses, with its own first error.
    """
    trt = _api(target.api)
    folder = bundle / FOLDER
    folder.mkdir(exist_ok=True)
    started_s = time.perf_counter()
    log = folder / f"{target.name}.log"
    batches = (1, min(USUAL_BATCH, max_batch), max_batch)
    content = _plan(trt, model, target, batches, log)
    # A name that no other engine has: one can be added beside those in use.
    name = f"{target.name}-{hashlib.sha256(content).hexdigest()[:8]}"
    (folder / f"{name}.plan").write_bytes(content)
    log.rename(folder / f"{name}.log")
    return Engine(
        file=f"{FOLDER}/{name}.plan",
        api=target.api,
        version=str(trt.__version__),
        compute_capability=target.compute_capability,
        gpu=target.gpu,
        multiprocessors=target.multiprocessors,
        platform=PLATFORM,
        batches=batches,
        model_sha256=sha256_of(model),
        build_s=time.perf_counter() - started_s,
    )


def _plan(trt: Any, model: Path, target: Target, batches: tuple[int, int, int], log: Path) -> bytes:
    """Let the builder build, whose words go into `log`. Raises BackendError where it refuses."""
    logger = _logger(trt, log)
    builder = made(trt, trt.Builder, logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(model.read_bytes()):
        error = parser.get_error(0)
        raise BackendError(f"{target.name}: the parser refuses {error.node_name()}: {one_line(error.desc())}")
    config = _config(trt, builder, tuple(network.get_input(0).shape)[1:], batches)
    if target.api == "tensorrt_rtx":
        config.num_compute_capabilities = 1
        config.set_compute_capability(trt.ComputeCapability.__members__[sm(target.compute_capability).upper()], 0)
        plan = builder.build_serialized_network(network, config)
    else:
        plan = build_timed(builder, network, config, _timing_cache(trt, target))
    if logger.interrupt is not None:
        raise logger.interrupt
    if plan is None:
        raise BackendError(f"{target.name}: TensorRT builds no engine: {logger.first_error or 'it gives no reason'}")
    return bytes(plan)


def _config(trt: Any, builder: Any, shape: tuple[int, ...], batches: tuple[int, int, int]) -> Any:
    config = builder.create_builder_config()
    # Of a float32 product TF32 keeps 10 bits: the bundle would not be the same detector.
    config.clear_flag(trt.BuilderFlag.TF32)
    profile = builder.create_optimization_profile()
    profile.set_shape(INPUT, *((batch, *shape) for batch in batches))
    config.add_optimization_profile(profile)
    return config


def build_timed(builder: Any, network: Any, config: Any, cache_name: str) -> Any:
    """Build, and keep the kernels' timings for the next build on this GPU."""
    cache = config.create_timing_cache(read_cache(cache_name))
    if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
        # Damaged, or of another CUDA: measured anew.
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, ignore_mismatch=False)
    plan = builder.build_serialized_network(network, config)
    if plan is not None:
        write_cache(cache_name, bytes(cache.serialize()))
    return plan


def _timing_cache(trt: Any, target: Target) -> str:
    gpu = re.sub(r"\W+", "-", target.gpu or "")
    return f"{target.name}-{trt.__version__}-{gpu}.timing"


def _api(name: str) -> Any:
    try:
        return import_api(name)
    except ImportError as error:
        raise BackendError(f"{name} is missing here ({one_line(error)}); pip install {EXTRAS[name]}.") from error


def _logger(trt: Any, file: Path) -> Any:
    """A logger that keeps the builder's words in `file` and its first error in `first_error`."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.first_error = ""
            self.interrupt: KeyboardInterrupt | None = None
            file.write_text("")

        def log(self, severity: Any, message: str) -> None:
            # TensorRT would swallow a Ctrl-C that comes here.
            try:
                self._write(severity, message)
            except KeyboardInterrupt as interrupt:
                self.interrupt = interrupt

        def _write(self, severity: Any, message: str) -> None:
            is_error = severity in (trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR)
            if is_error and not self.first_error:
                self.first_error = one_line(message)
            if severity != trt.ILogger.Severity.VERBOSE:
                with file.open("a") as log:
                    log.write(f"{severity.name}: {message}\n")

    return Logger()


def add_engines(bundle: Bundle, targets: Sequence[Target], max_batch: int) -> Bundle:
    """Build engines into a bundle that is there, in place of those for the same targets. A signature is taken away.

    The graph stays what it was, and the bundle stays whole whatever happens: new engines have names of their own, and
    are the bundle's when `bundle.json` says so. Raises BackendError, and ConfigError where the bundle cannot be
    written, or its int8 graph was exported for a CPU.
    """
    manifest = bundle.manifest
    if manifest.precision == "int8" and not manifest.engines:
        raise ConfigError(
            f"{bundle.path}: int8 for a CPU, which TensorRT does not take; export it again with --target."
        )
    if not os.access(bundle.path, os.W_OK):
        raise ConfigError(f"{bundle.path}: cannot be written; check its permissions, or add the engines to a copy.")
    with tempfile.TemporaryDirectory(prefix="pwae-engines-") as folder:
        built = []
        for target in targets:
            with step(f"build engine {target.name}"):
                built.append(build_engine(bundle.model, target, max_batch, Path(folder)))
        fresh = {f"{FOLDER}/{path.name}": sha256_of(path) for path in sorted((Path(folder) / FOLDER).iterdir())}
        kept = [engine for engine in manifest.engines if _target_of(engine) not in map(_target_of, built)]
        gone = {name for engine in manifest.engines if engine not in kept for name in _files_of(engine)} - set(fresh)
        files = {name: digest for name, digest in manifest.files.items() if name not in gone} | fresh
        try:
            shutil.copytree(Path(folder) / FOLDER, bundle.path / FOLDER, dirs_exist_ok=True)
            save_manifest(bundle.path, manifest.model_copy(update={"engines": (*kept, *built), "files": files}))
        except (OSError, shutil.Error) as error:
            for name in set(fresh) - set(manifest.files):
                (bundle.path / name).unlink(missing_ok=True)
            raise ConfigError(f"{bundle.path}: cannot be written ({error}); free space and try again.") from error
    for name in (*gone, SIGNATURE):
        (bundle.path / name).unlink(missing_ok=True)
    return load_bundle(bundle.path)


def _target_of(engine: Engine) -> tuple[str, tuple[int, int], str | None, int | None]:
    return engine.api, engine.compute_capability, engine.gpu, engine.multiprocessors


def _files_of(engine: Engine) -> tuple[str, str]:
    return engine.file, engine.file.removesuffix(".plan") + ".log"
