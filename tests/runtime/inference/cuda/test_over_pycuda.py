"""The real pycuda under TensorRT's backend, over a stand-in for the driver. `make test-standin` runs this.

It shows that pycuda takes our calls, in their order, on their threads, and that all is given back; not that a GPU does.
"""

import ctypes
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from core.errors import BackendError
from runtime.batching.fitting import fit_on_cpu
from runtime.bundles.bundle import Bundle
from runtime.inference.backend import SPARE, BackendFault, Pending
from runtime.inference.cuda.gpu import NoGpuError, find_gpu
from runtime.inference.cuda.tensorrt_backend import TensorRtBackend
from runtime.inference.cuda.tensorrt_lane import Lane
from tests.runtime.frames_kernel import FramesKernel, noise
from tests.runtime.over_pycuda import OverPycuda
from tests.runtime.pictures import bad_picture, expected_errors, good_picture

BATCH = 4


@pytest.fixture
def gpu(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> Iterator[OverPycuda]:
    over = OverPycuda(bundle.model).install(monkeypatch)
    yield over
    assert (over.counts(), over.held) == ({}, [])


def opened(bundle: Bundle, api: str = "tensorrt") -> TensorRtBackend:
    return TensorRtBackend(bundle, bundle.manifest.engines[0].model_copy(update={"api": api}), BATCH)


def expected(pictures: list[NDArray[np.uint8]]) -> object:
    return pytest.approx(np.stack([expected_errors(picture) for picture in pictures]), rel=1e-3)


@pytest.mark.parametrize("api", ["tensorrt", "tensorrt_rtx"])
def test_30_batches_of_every_size_give_the_models_errors_and_all_is_given_back(
    gpu: OverPycuda, bundle: Bundle, api: str
) -> None:
    backend = opened(bundle, api)
    buffers = [backend.new_batch() for _ in range(backend.depth + SPARE + 1)]  # one more than were made ready
    counts = gpu.counts()
    assert counts["locked"] == 2 * len(buffers)  # frames, and errors
    assert counts.get("graphs", 0) == (backend.depth * 3 if api == "tensorrt" else 0)  # batches of 1, 2 and 4
    under_way: list[tuple[Pending, list[NDArray[np.uint8]]]] = []
    for number in range(30):
        if len(under_way) == backend.depth:
            pending, pictures = under_way.pop(0)
            assert pending.errors() == expected(pictures)
        pictures = [(bad_picture if row % 2 else good_picture)(number * 10 + row) for row in range(1 + number % BATCH)]
        buffer = buffers[number % len(buffers)]
        buffer[: len(pictures)] = np.stack(pictures)
        under_way.append((backend.submit(buffer[: len(pictures)]), pictures))
    for pending, pictures in under_way:
        assert pending.errors() == expected(pictures)
    maps = under_way[-1][0].error_maps()
    assert maps.mean(axis=(1, 2)) == pytest.approx(under_way[-1][0].errors()[:, 0], rel=1e-3)
    assert gpu.counts() == counts
    backend.close()
    buffers[0][:] = 7  # a camera that is late


def test_frames_become_rows_by_the_kernel_and_all_is_given_back(
    gpu: OverPycuda, bundle: Bundle, frames_kernel: FramesKernel
) -> None:
    gpu.use_kernel(frames_kernel)
    backend = TensorRtBackend(bundle, bundle.manifest.engines[0], BATCH, frames="gpu")
    assert gpu.counts()["modules"] == 1
    buffer, row = backend.new_batch(), np.zeros((48, 48, 3), np.uint8)
    for number in range(30):
        frame = noise(number, (100 + number * 11, 150))
        backend.fit(frame, "RG", buffer[number % BATCH], (7, 9, 120, 80))
        fit_on_cpu(frame, "RG", row, (7, 9, 120, 80))
        assert np.abs(row.astype(np.int16) - buffer[number % BATCH]).max() <= 1
    backend.submit(buffer).errors()
    backend.close()


def test_an_error_that_stays_goes_with_the_context_where_nobody_else_holds_that(
    gpu: OverPycuda, bundle: Bundle
) -> None:
    backend = opened(bundle)
    gpu.fail(700)
    with pytest.raises(BackendFault, match="an illegal memory access") as told:
        backend.submit(backend.new_batch()[:2]).errors()
    assert told.value.is_sticky
    backend.close()
    again = opened(bundle)
    again.submit(again.new_batch()[:2]).errors()
    again.close()


def test_where_somebody_else_holds_the_context_the_error_stays_and_opening_says_so(
    gpu: OverPycuda, bundle: Bundle
) -> None:
    gpu.cuda.cuDevicePrimaryCtxRetain(ctypes.byref(ctypes.c_void_p()), 0)  # as CUDA's runtime does
    backend = opened(bundle)
    gpu.fail(700)
    with pytest.raises(BackendFault, match="an illegal memory access"):
        backend.submit(backend.new_batch()[:2]).errors()
    backend.close()
    with pytest.raises(BackendError, match=r"an illegal memory access.*nvidia-smi"):
        opened(bundle)
    assert gpu.cuda.cuDevicePrimaryCtxRelease_v2(0) == 0


@pytest.mark.parametrize("result", [716, 717, 718, 719, 999, 100, 46])
def test_a_gpu_that_goes_takes_the_batches_under_way_and_is_opened_again_once_it_is_there(
    gpu: OverPycuda, bundle: Bundle, frames_kernel: FramesKernel, result: int
) -> None:
    gpu.use_kernel(frames_kernel)
    backend = TensorRtBackend(bundle, bundle.manifest.engines[0], BATCH, frames="gpu")
    buffers = [backend.new_batch() for _ in range(backend.depth)]
    for buffer in buffers:
        backend.fit(bad_picture(1), "BGR", buffer[0])
    under_way = [backend.submit(buffer[:1]) for buffer in buffers]
    gpu.lose(result)
    for pending in (*under_way, backend.submit(buffers[0])):
        with pytest.raises(BackendFault, match="an error of the stand-in") as told:
            pending.errors()
        assert told.value.is_sticky
    backend.fit(good_picture(1), "BGR", buffers[0][0])  # by the CPU
    assert np.array_equal(buffers[0][0], good_picture(1))
    backend.close()
    with pytest.raises(BackendError, match=r"cannot run it here .*an error of the stand-in.*nvidia-smi"):
        opened(bundle)
    gpu.lose(0)
    again = opened(bundle)
    again.submit(again.new_batch()[:2]).errors()
    again.close()


def test_memory_that_runs_out_with_batches_under_way_is_a_fault_that_does_not_stay(
    gpu: OverPycuda, bundle: Bundle
) -> None:
    backend = opened(bundle)
    buffers = [backend.new_batch() for _ in range(backend.depth + SPARE)]
    pending = backend.submit(buffers[0])
    gpu.has(0)
    with pytest.raises(BackendFault, match="out of memory") as told:
        backend.new_batch()
    assert not told.value.is_sticky
    with pytest.raises(BackendFault, match="out of memory"):
        pending.errors()
    backend.close()
    with pytest.raises(BackendError, match=r"a batch of 4 needs 0.00 GB .* 0.00 of 0.00 GB were free"):
        opened(bundle)
    gpu.has(8 * 10**9)
    again = opened(bundle)
    again.submit(again.new_batch()).errors()
    again.close()


def test_a_graph_that_is_not_recorded_to_its_end_is_given_back(
    gpu: OverPycuda, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    executed, execute = Counter[int](), Lane._execute

    def refuse_the_second(lane: Lane, context: Any) -> None:
        execute(lane, context)
        executed[id(context)] += 1
        if executed[id(context)] == 2:
            raise RuntimeError("it does not compute")

    monkeypatch.setattr(Lane, "_execute", refuse_the_second)
    backend = opened(bundle)
    assert "graphs" not in gpu.counts()
    backend.submit(backend.new_batch()[:3]).errors()
    backend.close()


def test_the_gpu_that_the_driver_shows_is_found(gpu: OverPycuda) -> None:
    found = find_gpu()
    assert (found.name, found.target, found.multiprocessors) == ("NVIDIA Stand-In", "sm89", 58)
    with pytest.raises(NoGpuError, match=r"shows 1 GPU, and none with the number 1 \(backend.device\)"):
        find_gpu(1)
