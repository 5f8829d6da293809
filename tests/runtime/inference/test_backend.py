"""Backends: one suite for whoever computes, through the Protocol.

Those that need a GPU are skipped without one, and say why; PWAE_TEST_GPU=1 (`make test-gpu`) makes that a failure.
TensorRT's backend also runs on a stand-in for pycuda and TensorRT, which shows its slots, slices and threads to be
right and is no GPU.
"""

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from core.errors import ArtifactError, BackendError
from core.files import sha256_of
from runtime.bundles.bundle import Bundle, load_bundle
from runtime.bundles.manifest import MODEL
from runtime.inference.backend import Backend, BackendFault, Pending
from runtime.inference.onnx_backend import PROVIDERS, OnnxBackend
from runtime.parts.verdict import Reason, Verdict, judge
from tests.runtime.a_gpu import build_engine, open_on_gpu, prepare, require_gpu
from tests.runtime.cuda_stand_in import StandIn, add_engine, engine
from tests.runtime.pictures import SIZE, bad_picture, expected_errors, good_picture
from tests.runtime.small_bundle import write_bundle
from tests.runtime.waiting import WAIT_S

BATCH = 4
Open = Callable[[Bundle], Backend]

KINDS = [
    "onnxruntime-cpu",
    *(pytest.param(kind, marks=pytest.mark.gpu) for kind in ("onnxruntime-cuda", "tensorrt")),
    "stand-in tensorrt",
    "stand-in tensorrt_rtx",
]


@pytest.fixture(scope="module")
def bundle(bundle_path: Path) -> Bundle:
    return load_bundle(bundle_path)


@pytest.fixture(scope="module")
def nan_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load_bundle(write_bundle(tmp_path_factory.mktemp("nan") / "bundle", grey=float("nan")))


@pytest.fixture(params=KINDS)
def open_it(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Opens a bundle with the backend in turn, and closes it after the test."""
    opened: list[Backend] = []

    def open_it(bundle: Bundle) -> Backend:
        copy = load_bundle(Path(shutil.copytree(bundle.path, tmp_path / "copy")))
        if request.param.startswith("stand-in"):
            StandIn(copy.model).install(monkeypatch)
            monkeypatch.setattr("runtime.inference.cuda.engine_fit.version", lambda package: "2026.1")
            add_engine(copy, engine(copy, request.param.split()[1]))
        elif request.param == "tensorrt":
            build_engine(copy.path)
        kind = "tensorrt" if request.param.startswith("stand-in") else request.param
        opened.append(open_on_gpu(kind, load_bundle(copy.path), BATCH))
        return opened[0]

    if "gpu" in [mark.name for mark in request.node.iter_markers()]:
        require_gpu()
    yield open_it
    for backend in opened:
        backend.close()


def frames(count: int, seed: int = 0) -> list[NDArray[np.uint8]]:
    return [bad_picture(seed + row) if row % 3 == 1 else good_picture(seed + row) for row in range(count)]


def fill(buffer: NDArray[np.uint8], pictures: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    buffer[: len(pictures)] = np.stack(pictures)
    return buffer[: len(pictures)]


def expected(pictures: list[NDArray[np.uint8]]) -> Any:
    return pytest.approx(np.stack([expected_errors(picture) for picture in pictures]), rel=1e-3)


def test_batches_of_every_size_give_the_models_errors_row_by_row(open_it: Open, bundle: Bundle) -> None:
    backend = open_it(bundle)
    assert backend.max_batch == BATCH
    buffer = backend.new_batch()
    for size in (BATCH, *range(1, BATCH + 1)):
        pictures = frames(size, seed=size)
        errors = backend.submit(fill(buffer, pictures)).errors()
        assert errors.dtype == np.float32
        assert errors == expected(pictures)


def test_error_maps_are_those_of_the_batch_however_late_they_are_asked_for(open_it: Open, bundle: Bundle) -> None:
    backend = open_it(bundle)
    first, second = backend.new_batch(), backend.new_batch()
    pictures = frames(3, seed=5)
    pending = backend.submit(fill(first, pictures))
    errors = pending.errors()
    backend.submit(fill(second, frames(BATCH, seed=50))).errors()
    maps = pending.error_maps()
    assert maps.shape == (3, SIZE, SIZE)
    assert maps.mean(axis=(1, 2)) == pytest.approx(errors[:, 0], rel=1e-3)
    assert pending.errors() is errors or np.array_equal(pending.errors(), errors)


def test_error_maps_that_the_cpu_has_worked_out_wait_for_no_batch_under_way(bundle: Bundle) -> None:
    backend, goes_on = OnnxBackend(bundle, BATCH), threading.Event()
    pending = backend.submit(fill(backend.new_batch(), frames(2, seed=5)))
    pending.errors()
    under_way = backend.do(goes_on.wait, WAIT_S)
    assert pending.error_maps().shape == (2, SIZE, SIZE)
    assert not under_way.done()
    goes_on.set()
    backend.close()


def test_several_batches_under_way_do_not_mix_and_buffers_are_used_again(open_it: Open, bundle: Bundle) -> None:
    backend = open_it(bundle)
    buffers = [backend.new_batch() for _ in range(backend.depth + 2)]
    assert len({buffer.ctypes.data for buffer in buffers}) == len(buffers)
    under_way: list[tuple[Pending, list[NDArray[np.uint8]]]] = []
    for number in range(30):
        if len(under_way) == backend.depth:
            pending, pictures = under_way.pop(0)
            assert pending.errors() == expected(pictures)
        pictures = frames(1 + number % BATCH, seed=100 * number)
        under_way.append((backend.submit(fill(buffers[number % len(buffers)], pictures)), pictures))
    for pending, pictures in under_way:
        assert pending.errors() == expected(pictures)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda buffer: buffer[:0],
        lambda buffer: buffer[:1, 1:],
        lambda buffer: buffer[0],
        lambda buffer: buffer[:1].astype(np.float32),
        lambda buffer: buffer[:1].view(np.int8),
        lambda buffer: buffer[:, :, ::-1],
        lambda buffer: np.concatenate([buffer, buffer]),
    ],
)
def test_what_is_no_batch_is_refused_and_the_next_one_is_judged(
    open_it: Open, bundle: Bundle, wrong: Callable[[Any], Any]
) -> None:
    backend = open_it(bundle)
    buffer = backend.new_batch()
    with pytest.raises(ValueError, match="a batch is uint8 of 1 to 4"):
        backend.submit(wrong(buffer))
    pictures = frames(2)
    assert backend.submit(fill(buffer, pictures)).errors() == expected(pictures)


def test_what_the_model_cannot_tell_is_not_decidable(open_it: Open, nan_bundle: Bundle) -> None:
    backend = open_it(nan_bundle)
    (row,) = backend.submit(fill(backend.new_batch(), frames(1))).errors()
    judgement = judge(row, nan_bundle.manifest.thresholds)
    assert (judgement.verdict, judgement.reasons) == (Verdict.NOT_DECIDABLE, (Reason.ERROR_NOT_FINITE,))


def test_closed_while_busy_it_ends_and_its_buffers_stay_memory(open_it: Open, bundle: Bundle) -> None:
    backend = open_it(bundle)
    buffer, pictures = backend.new_batch(), frames(BATCH)
    pending = backend.submit(fill(buffer, pictures))
    backend.close()
    buffer[:] = 1
    try:
        assert pending.errors() == expected(pictures)
    except BackendFault as fault:
        assert "closed" in str(fault)  # noqa: PT017 - either is right
    backend.close()


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["onnxruntime-cuda", "tensorrt"])
def test_a_real_network_judges_on_the_gpu_as_pytorch_does(
    kind: str, checkpoint: Path, parts: Path, tmp_path: Path
) -> None:
    require_gpu()
    judges_as_pytorch_does(kind, checkpoint, parts, tmp_path)


def test_a_real_network_judges_on_the_cpu_as_pytorch_does(checkpoint: Path, parts: Path, tmp_path: Path) -> None:
    judges_as_pytorch_does("onnxruntime-cpu", checkpoint, parts, tmp_path)


def judges_as_pytorch_does(kind: str, checkpoint: Path, parts: Path, tmp_path: Path) -> None:
    from core.datasets.dataset import labelled_samples
    from core.datasets.frames import read_frames
    from training.detector.checkpoint import load_checkpoint
    from training.detector.inspector import judge as judge_with_pytorch

    exported = tmp_path / "disc.bundle"
    command = [sys.executable, "-c", "from export.cli import export_engine; export_engine()", str(checkpoint)]
    subprocess.run([*command, "--output", str(exported)], check=True, capture_output=True)
    if kind != "onnxruntime-cpu":
        prepare(kind, exported)
    bundle = load_bundle(exported)
    pictures = read_frames(labelled_samples(str(parts)), bundle.manifest.input).bgr_u8
    reference, _maps = judge_with_pytorch(load_checkpoint(checkpoint).inspector, pictures)
    backend = open_on_gpu(kind, bundle, BATCH)
    buffer = backend.new_batch()
    for start in range(0, len(pictures), BATCH):
        batch = fill(buffer, list(pictures[start : start + BATCH]))
        assert backend.submit(batch).errors() == pytest.approx(reference[start : start + BATCH], rel=1e-2, abs=1e-5)
    backend.close()


def test_a_graph_that_is_none_is_refused(bundle_path: Path, tmp_path: Path) -> None:
    bundle = load_bundle(Path(shutil.copytree(bundle_path, tmp_path / "copy")))
    bundle.model.write_bytes(b"no graph")
    with pytest.raises(ArtifactError, match=f"{MODEL} was altered"):
        OnnxBackend(bundle, BATCH)
    bundle.manifest.files[MODEL] = sha256_of(bundle.model)
    with pytest.raises(BackendError, match=f"{MODEL}: ONNX Runtime refuses it"):
        OnnxBackend(bundle, BATCH)


def test_a_provider_that_this_onnx_runtime_has_not_is_refused_with_the_remedy(bundle: Bundle) -> None:
    with pytest.raises(
        BackendError, match=r"has no CUDAExecutionProvider.*onnxruntime-gpu, then pip install '\.\[cuda\]'"
    ):
        OnnxBackend(bundle, BATCH, provider="cuda")


def test_a_provider_that_is_dropped_in_silence_is_refused(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """As onnxruntime-gpu does where a CUDA library is missing: it lists the provider, and opens without it."""
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: list(PROVIDERS.values()))
    monkeypatch.setattr(OnnxBackend, "_providers", lambda *_: ["CPUExecutionProvider"])
    with pytest.raises(BackendError, match="cannot load it here .it would use CPUExecutionProvider"):
        OnnxBackend(bundle, BATCH, provider="cuda")


def test_a_gpu_that_fails_as_the_graph_is_opened_is_told_with_its_reason_and_the_cpu_is_not_tried(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As an H200 did after an illegal access."""

    def create(_session: object, providers: Any, *_: object) -> None:
        raise RuntimeError(f"CUDA failure 700: an illegal memory access was encountered ; GPU=0 ({providers[0][0]})")

    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: list(PROVIDERS.values()))
    monkeypatch.setattr("onnxruntime.InferenceSession._create_inference_session", create)
    with pytest.raises(BackendError, match=r"CUDA failure 700: an illegal .* \(CUDAExecutionProvider\)"):
        OnnxBackend(bundle, BATCH, provider="cuda")
    assert capsys.readouterr().out == ""


def test_what_onnx_runtime_fails_at_is_a_fault_and_no_crash(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = OnnxBackend(bundle, BATCH)

    class Broken:
        def io_binding(self) -> Any:
            raise RuntimeError("CUDA failure 2:\n out of memory")

    monkeypatch.setattr(backend, "_sessions", {BATCH: Broken()})
    pending = backend.submit(backend.new_batch())
    for ask in (pending.errors, pending.error_maps, pending.errors):
        with pytest.raises(BackendFault, match="ONNX Runtime: CUDA failure 2: out of memory"):
            ask()
    backend.close()
