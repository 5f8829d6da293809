"""All that only a machine with a GPU can settle: a section a process, a line of JSON a result. Needs no network.

    python tools/gpu_check.py --bundle B --training CONFIG --pictures DIR --out DIR [SECTION...]

CONFIG is a training's configuration (YAML), whose `data` PICTURES takes the place of: a folder of pictures, or a data
set in MVTec layout. OUT/trained is trained by it. Results are in OUT/results.jsonl as they come: what a section says
before it fails or runs out of time is kept. At the end stderr has a line for each section: whether it ran, or why not.
Sections: facts, imports, pages, frames, sticky, engine, onnxruntime, decoding, training, tests. tools/gpu-check.sh
makes the environment.
"""

import argparse
import contextlib
import ctypes
import importlib
import importlib.metadata
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

PACKAGES = ("numpy", "onnx", "onnxruntime", "onnxruntime-gpu", "torch", "lightning", "pycuda", "tensorrt", "pydantic")
RTX = ("tensorrt_rtx_cu13_bindings", "tensorrt_rtx_cu13_libs")
BATCH = 32


@dataclass(frozen=True)
class Given:
    """What a section works on, and where it tells."""

    bundle: Path
    training: Path
    pictures: Path
    out: Path
    section: str = ""

    def tell(self, **values: Any) -> None:
        """Write one result."""
        line = json.dumps({"section": self.section, **values}, default=str)
        print(line, flush=True)
        with (self.out / "results.jsonl").open("a") as results:
            results.write(line + "\n")


def facts(given: Given) -> None:
    """What is installed, and what GPU there is."""
    from runtime.inference.cuda.gpu import NoGpuError, check, driver, find_gpu

    try:
        found = str(find_gpu())
    except NoGpuError as error:
        found = str(error)
    given.tell(python=sys.version.split()[0], gpu=found)
    for name in (*PACKAGES, *RTX):
        try:
            given.tell(package=name, version=importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            given.tell(package=name, version=None)
    version = ctypes.c_int()
    try:
        check(driver(), driver().cuDriverGetVersion(ctypes.byref(version)))
        given.tell(driver_cuda=version.value)
    except OSError:
        given.tell(driver_cuda=None)


def imports(given: Given) -> None:
    """What cannot be imported, and why."""
    failed = []
    for module in ("runtime.station.inspection", "export.build", "training.session", "pycuda.driver"):
        try:
            importlib.import_module(module)
        except Exception as error:  # whatever it is, it is told
            failed.append(module)
            given.tell(module=module, fails=f"{type(error).__name__}: {error}"[:300])
    if failed:
        raise RuntimeError(f"cannot be imported: {', '.join(failed)}")


def pages(given: Given) -> None:
    """Copies from memory that is page-locked as the runtime locks it, beside ordinary memory."""
    import numpy as np
    import pycuda.driver as cuda

    from runtime.inference.cuda.gpu import page_lock, page_unlock

    cuda.init()
    context = cuda.Device(0).retain_primary_context()
    context.push()
    try:
        stream, locked = cuda.Stream(1), page_lock((64, 300, 300, 3), np.uint8)
        memory = cuda.mem_alloc(locked.nbytes)
        for kind, host in (("locked", locked), ("pageable", np.zeros_like(locked))):
            for direction, copy, to, origin in (
                ("to the GPU", cuda.memcpy_htod_async, memory, host),
                ("from the GPU", cuda.memcpy_dtoh_async, host, memory),
            ):
                taken_s = []
                for _ in range(20):
                    started_s = time.perf_counter()
                    copy(to, origin, stream)
                    asked_s = time.perf_counter() - started_s
                    stream.synchronize()
                    taken_s.append(time.perf_counter() - started_s)
                given.tell(
                    memory=kind, direction=direction, gb_per_s=host.nbytes / min(taken_s) / 1e9, call_us=asked_s * 1e6
                )
        page_unlock(locked)
        locked[:] = 7  # it stays memory
        memory.free()
        del stream
    finally:
        context.pop()
        context.detach()


def frames(given: Given) -> None:
    """Frames of 5 megapixels into rows, by the CPU and by the GPU."""
    from frames_check import compare_places

    compare_places(given.tell)


def sticky(given: Given) -> None:
    """Whether a process may go on after an illegal access: with the driver alone, and with CUDA's runtime in it."""
    for extra in ("", "torch"):
        command = [sys.executable, str(ROOT / "tools" / "illegal_access.py"), extra]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        says = done.stdout.splitlines()
        given.tell(beside=extra or "nothing", says=says, rc=done.returncode, err=done.stderr[-300:])
        if not says and done.returncode > 0:
            raise RuntimeError(f"no illegal access was tried: {(done.stderr.strip().splitlines() or ['?'])[-1]}")


def engine(given: Given) -> None:
    """TensorRT: for which target an engine is built and loads here, whether it judges as the CPU does, and how fast."""
    from core.errors import PwaeError
    from core.files import sha256_of
    from export.engines import build_engine, parse_target
    from runtime.bundles.bundle import load_bundle
    from runtime.inference.cuda.gpu import find_gpu
    from runtime.inference.cuda.tensorrt_backend import TensorRtBackend

    targets = (find_gpu().target, "here")
    bundle = load_bundle(given.bundle)
    for target in targets:
        with tempfile.TemporaryDirectory() as scratch:
            try:
                wanted = parse_target(target)
                built = build_engine(bundle.model, wanted, BATCH, Path(scratch))
                file = Path(scratch) / built.file
                here = replace_files(bundle, Path(scratch), built.file, sha256_of(file))
                started_s = time.perf_counter()
                backend = TensorRtBackend(here, built, BATCH)
            except (PwaeError, ValueError) as error:
                given.tell(target=target, fails=f"{type(error).__name__}: {error}"[:500])
                continue
            told = {"target": wanted.name, "build_s": built.build_s, "open_s": time.perf_counter() - started_s}
            given.tell(**told, bytes=file.stat().st_size, memory=backend.gpu_memory)
            try:
                compare(given, backend, wanted.name)
            finally:
                backend.close()


def replace_files(bundle: Any, folder: Path, name: str, digest: str) -> Any:
    """The bundle as if it lay in `folder`, with one more file."""
    manifest = bundle.manifest.model_copy(update={"files": {**bundle.manifest.files, name: digest}})
    return bundle.model_copy(update={"path": folder, "manifest": manifest})


def onnxruntime(given: Given) -> None:
    """ONNX Runtime's CUDA provider as the runtime opens it, and with the search that it would choose itself."""
    from onnxruntime import get_available_providers

    from runtime.bundles.bundle import load_bundle
    from runtime.inference import onnx_backend

    if onnx_backend.PROVIDERS["cuda"] not in get_available_providers():
        raise RuntimeError(
            "ONNX Runtime is a CPU's build here; pack the other: tools/gpu-wheels.sh PARTS onnxruntime-gpu"
        )
    from decoding_check import gpu_memory_mb

    bundle = load_bundle(given.bundle)
    for search in ("HEURISTIC", "DEFAULT", "EXHAUSTIVE"):
        onnx_backend.CUDA_OPTIONS["cudnn_conv_algo_search"] = search
        before_mb, started_s = gpu_memory_mb(), time.perf_counter()
        backend = onnx_backend.OnnxBackend(bundle, BATCH, provider="cuda")
        given.tell(
            search=search,
            name=backend.name,
            open_s=time.perf_counter() - started_s,
            gpu_memory_mb=[before_mb, gpu_memory_mb()],
        )
        try:
            compare(given, backend, search)
        finally:
            backend.close()


def compare(given: Given, backend: Any, name: str) -> None:
    """Errors beside those of the CPU, as shares of the thresholds, and the latency of each size of batch."""
    import numpy as np

    from core.datasets.dataset import labelled_samples
    from core.datasets.frames import read_frames
    from core.thresholds import differences, ratios
    from export.parity import backend_errors
    from runtime.bundles.bundle import load_bundle
    from runtime.inference.onnx_backend import OnnxBackend

    bundle = load_bundle(given.bundle)
    manifest = bundle.manifest
    frames = read_frames(labelled_samples(str(given.pictures))[:64], manifest.input).bgr_u8
    cpu = OnnxBackend(bundle, 8)
    expected, found = backend_errors(cpu, frames), backend_errors(backend, frames)
    cpu.close()
    moved = differences(found, expected, manifest.thresholds)
    failed, should_fail = ((ratios(each, manifest.thresholds) > 1).any(axis=1) for each in (found, expected))
    given.tell(
        backend=name,
        pictures=len(frames),
        largest_difference=float(moved.max()),
        mean_difference=float(moved.mean()),
        verdict_flips=int((failed != should_fail).sum()),
    )
    buffer = backend.new_batch()
    buffer[:] = frames[0]

    def tell_latency(sizes: Sequence[int], **which: Any) -> None:
        taken_ms = []
        for rows in sizes:
            started_s = time.perf_counter()
            backend.submit(buffer[:rows]).errors()
            taken_ms.append((time.perf_counter() - started_s) * 1000)
        p50, p99 = np.percentile(taken_ms, [50, 99])
        times = {"first_ms": taken_ms[0], "p50_ms": float(p50), "p99_ms": float(p99), "longest_ms": max(taken_ms)}
        given.tell(backend=name, **which, **times)

    sizes = sorted({1, 2, 3, backend.max_batch // 2, backend.max_batch})
    for rows in sizes:
        tell_latency([rows] * 100, batch=rows)
    tell_latency(sizes * 20, batches_in_turn=sizes)


def decoding(given: Given) -> None:
    """Films of 5 megapixels decoded by the CPU and by the GPU."""
    from decoding_check import compare_decoders

    compare_decoders(given.tell)


def training(given: Given) -> None:
    """Training in bf16 on the GPU, how well it detects, and whether CPU and GPU judge alike with what came of it."""
    import numpy as np
    import torch

    from assessment.metrics import image_metrics
    from core.config import load_settings
    from core.datasets.dataset import are_defective, labelled_samples
    from core.datasets.frames import read_frames
    from core.thresholds import scores
    from training.detector.checkpoint import load_checkpoint
    from training.detector.inspector import judge
    from training.session import train
    from training.settings import TrainingSettings

    if not torch.cuda.is_available():
        raise RuntimeError(f"torch {torch.__version__} has no GPU here")
    changed = {"data": str(given.pictures), "output": str(given.out / "trained")}
    settings = load_settings(given.training, TrainingSettings).model_copy(update=changed)
    started_s = time.perf_counter()
    checkpoint = load_checkpoint(train(settings))
    given.tell(
        gpu=torch.cuda.get_device_name(),
        name=settings.name,
        seed=settings.seed,
        epochs=settings.epochs,
        train_s=time.perf_counter() - started_s,
        losses=checkpoint.provenance["losses"],
    )
    samples = labelled_samples(str(given.pictures))
    frames, defective = read_frames(samples, checkpoint.input), are_defective(samples)
    errors = {kind: judge(checkpoint.inspector, frames.bgr_u8, kind)[0] for kind in ("cpu", "cuda")}
    for kind, found in errors.items():
        given.tell(
            judged_by=kind, pictures=len(found), **image_metrics(scores(found, checkpoint.thresholds), defective)
        )
    shares = np.abs(errors["cuda"] - errors["cpu"]) / np.array(checkpoint.thresholds.values)
    given.tell(largest_difference=float(shares.max()), mean_difference=float(shares.mean()))


def tests(given: Given) -> None:
    """The tests that want a GPU; none may be skipped that the machine can run."""
    environment = {**os.environ, "PWAE_TEST_GPU": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pytest", "-v", "-m", "gpu", "-rfEs", "-o", "filterwarnings=default"]
    command += ["-p", "no:cacheprovider", "--durations=8", "tests/runtime/inference"]
    log = given.out / "pytest.log"
    with log.open("w") as file:  # what was said before the time is over is kept
        done = subprocess.run(
            command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT, text=True, check=False
        )
    said = log.read_text().splitlines() or ["?"]
    given.tell(rc=done.returncode, tail=said[-20:])
    if done.returncode:
        raise RuntimeError(f"pytest ended with {done.returncode} ({said[-1]}); all that it said is in pytest.log")


SECTIONS: dict[str, tuple[Callable[[Given], None], float]] = {
    "facts": (facts, 60),
    "imports": (imports, 120),
    "pages": (pages, 60),
    "frames": (frames, 120),
    "sticky": (sticky, 130),
    "engine": (engine, 300),
    "onnxruntime": (onnxruntime, 300),
    "decoding": (decoding, 180),
    "training": (training, 300),
    "tests": (tests, 600),
}
"""Each with the seconds it may take."""


def _run(section: str, given: Given) -> None:
    os.setsid()  # what it starts ends with it
    given = replace(given, section=section)
    try:
        SECTIONS[section][0](given)
        given.tell(done=True)
    except BaseException as error:
        given.tell(done=False, fails=f"{type(error).__name__}: {error}"[:500], where=traceback.format_exc()[-600:])
        sys.exit(1)


def run_all(given: Given, sections: Sequence[str]) -> int:
    """Run each in a process of its own, which a CUDA error or a driver that hangs takes along alone; count failures."""
    ends = []
    for section in sections:
        say(f"{section}: at most {SECTIONS[section][1]:.0f} s")
        started_s = time.monotonic()
        ends.append((section, run_one(section, given), time.monotonic() - started_s))
    failed = sum(bool(problem) for _section, problem, _taken_s in ends)
    say()
    for section, problem, taken_s in ends:
        say(f"{section:12} {'FAILED' if problem else 'ran':6} {taken_s:4.0f} s  {problem}".rstrip())
    say(
        f"{len(ends) - failed} of {len(ends)} sections ran, {failed} failed; all results: {given.out / 'results.jsonl'}"
    )
    return failed


def run_one(section: str, given: Given) -> str:
    """Run a section in a process of its own; say why it failed, empty where it ran."""
    process = multiprocessing.get_context("spawn").Process(target=_run, args=(section, given))
    process.start()
    try:
        process.join(SECTIONS[section][1])
    finally:  # Ctrl-C ends it too
        if is_late := process.is_alive():
            with contextlib.suppress(ProcessLookupError):  # it has not come so far as to have a group
                os.killpg(process.pid or 0, signal.SIGKILL)
            process.kill()
            process.join()
    if process.exitcode == 0:
        return ""
    results = given.out / "results.jsonl"
    told = json.loads(results.read_text().splitlines()[-1]) if results.exists() else {}
    if told.get("section") == section and told.get("done") is False:
        return str(told["fails"])
    # It could not say so itself.
    problem = f"took longer than {SECTIONS[section][1]:.0f} s" if is_late else f"ended with {process.exitcode}"
    replace(given, section=section).tell(done=False, fails=problem)
    return problem


def say(line: str = "") -> None:
    """For whoever waits; what is kept goes by `tell`."""
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    """Read the command line; exit code 1 where a section failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("bundle", "training", "pictures", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("sections", nargs="*", metavar="SECTION", default=list(SECTIONS))
    asked = parser.parse_args()
    unknown = set(asked.sections) - set(SECTIONS)
    if unknown:
        parser.error(f"no such section: {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    asked.out.mkdir(parents=True, exist_ok=True)
    given = Given(*(path.resolve() for path in (asked.bundle, asked.training, asked.pictures, asked.out)))
    sys.exit(1 if run_all(given, asked.sections) else 0)


if __name__ == "__main__":
    main()
