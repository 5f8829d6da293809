"""Lanes on a stand-in: few sizes of batch, CUDA graphs, kernels kept for the next start, and memory that is counted.

The stand-in is no GPU: what these tests show is the logic around the calls, not that CUDA does what they ask.
"""

import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BackendError
from runtime.bundles.bundle import Bundle
from runtime.inference.backend import batch_sizes
from runtime.inference.cuda.kernel_cache import read_cache, write_cache
from runtime.inference.cuda.tensorrt_backend import TensorRtBackend
from tests.runtime.cuda_stand_in import StandIn
from tests.runtime.pictures import bad_picture, expected_errors, good_picture

BATCH = 6
SIZES = (1, 2, 4, 6)
APIS = ("tensorrt", "tensorrt_rtx")


def opened(bundle: Bundle, api: str = "tensorrt") -> TensorRtBackend:
    return TensorRtBackend(bundle, bundle.manifest.engines[0].model_copy(update={"api": api}), BATCH)


@given(st.integers(1, 1000), st.data())
def test_the_next_size_is_less_than_twice_the_batch(most: int, data: st.DataObject) -> None:
    sizes = batch_sizes(most)
    rows = data.draw(st.integers(1, most))
    assert sizes == tuple(sorted(set(sizes)))
    assert sizes[-1] == most
    assert next(size for size in sizes if size >= rows) < 2 * rows or rows == 1


@pytest.mark.parametrize("api", APIS)
def test_a_batch_is_filled_up_to_a_size_that_was_computed_before_any_part_came(
    gpu: StandIn, bundle: Bundle, api: str
) -> None:
    backend = opened(bundle, api)
    executed = [call for call in gpu.calls if call.startswith("execute")]
    assert set(executed) == {f"execute {size}" for size in SIZES}
    buffer = backend.new_batch()
    buffer[:] = np.stack([good_picture(row) for row in range(BATCH)])
    backend.submit(buffer).errors()
    for rows in (1, 3, 5):
        buffer[:rows] = np.stack([bad_picture(10 * rows + row) for row in range(rows)])
        gpu.calls.clear()
        pending = backend.submit(buffer[:rows])
        expected = np.stack([expected_errors(picture) for picture in buffer[:rows]])
        assert pending.errors() == pytest.approx(expected, rel=1e-3)
        assert pending.error_maps().mean(axis=(1, 2)) == pytest.approx(expected[:, 0], rel=1e-3)
        size = next(size for size in SIZES if size >= rows)
        assert (f"execute {size}" in gpu.calls) == (api == "tensorrt_rtx")
        assert ("cuGraphLaunch" in gpu.calls) == (api == "tensorrt")
    backend.close()


@pytest.mark.parametrize(("api", "contexts"), [("tensorrt", len(SIZES)), ("tensorrt_rtx", 1)])
def test_what_is_large_is_there_once_for_each_batch_under_way(
    gpu: StandIn, bundle: Bundle, api: str, contexts: int
) -> None:
    backend = opened(bundle, api)
    assert sum(name.startswith("execution") for name in gpu.held) == backend.depth * contexts
    graphs = sum(name.startswith("graph") for name in gpu.held)
    assert graphs == (backend.depth * len(SIZES) if api == "tensorrt" else 0)
    backend.close()
    assert gpu.held == []


def test_maps_stay_those_of_their_batch_while_its_lane_computes_the_next(gpu: StandIn, bundle: Bundle) -> None:
    backend = opened(bundle)
    buffers = [backend.new_batch() for _ in range(backend.depth + 1)]
    for number, buffer in enumerate(buffers):
        buffer[:] = bad_picture(number)
    first = backend.submit(buffers[0][:2])
    backend.submit(buffers[1][:2])
    errors = first.errors()
    backend.submit(buffers[2][:2]).errors()  # in the lane of the first
    assert first.error_maps().mean(axis=(1, 2)) == pytest.approx(errors[:, 0], rel=1e-3)
    backend.close()


def test_what_cannot_be_recorded_is_computed_all_the_same_and_the_log_says_so(
    gpu: StandIn, bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    gpu.driver.uncapturable = True
    with caplog.at_level(logging.WARNING):
        backend = opened(bundle)
    assert "no CUDA graph batch=6 reason='CUDA error 901: no such luck'" in caplog.text
    buffer = backend.new_batch()
    buffer[:] = bad_picture(1)
    assert backend.submit(buffer[:3]).errors()[0] == pytest.approx(expected_errors(bad_picture(1)), rel=1e-3)
    backend.close()
    assert gpu.held == []


def test_kernels_are_kept_for_the_next_start_and_those_of_another_gpu_are_not_taken(
    gpu: StandIn, bundle: Bundle
) -> None:
    opened(bundle, "tensorrt_rtx").close()
    assert gpu.kept_kernels == b""
    opened(bundle, "tensorrt_rtx").close()
    assert gpu.kept_kernels == b"kernels of every size"
    (kept,) = (gpu.cache / "p-wae").iterdir()
    kept.write_bytes(b"of another GPU")
    opened(bundle, "tensorrt_rtx").close()
    assert kept.read_bytes() == b"kernels of every size"


def test_a_home_that_cannot_be_written_costs_time_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    write_cache("kernels", b"k")
    assert "kernels not kept" in caplog.text
    assert "set XDG_CACHE_HOME to a writable folder" in caplog.text
    assert read_cache("kernels") == b""
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    write_cache("kernels", b"k")
    assert read_cache("kernels") == b""


def test_the_gpu_is_the_one_that_was_asked_for(gpu: StandIn, bundle: Bundle) -> None:
    TensorRtBackend(bundle, bundle.manifest.engines[0], BATCH, device=1).close()
    assert gpu.ordinal == 1


def test_memory_that_is_not_there_is_told_before_it_is_asked_for(gpu: StandIn, bundle: Bundle) -> None:
    backend = opened(bundle)
    assert backend.gpu_memory == "needs 0.00 GB of the GPU's memory, 8.00 of 8.00 GB were free"
    backend.close()
    gpu.free_bytes = 1000
    with pytest.raises(BackendError, match=r"a batch of 6 needs 0\.00 GB .* lower batching\.max_batch, or end what"):
        opened(bundle)
    assert gpu.held == []


def test_a_tensorrt_that_does_not_start_is_a_driver_that_is_too_old(gpu: StandIn, bundle: Bundle) -> None:
    gpu.refuses = "Runtime"
    with pytest.raises(BackendError, match="does not start: the NVIDIA driver is too old for it"):
        opened(bundle)
    assert gpu.held == []
