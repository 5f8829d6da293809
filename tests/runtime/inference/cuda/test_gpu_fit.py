"""Frames that become rows on the GPU: as on the CPU, from many cameras at once, and whatever becomes of the GPU.

pycuda and the driver are a stand-in here, the kernel is compiled for the CPU.
"""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from core.errors import BackendError, DataError
from core.pictures.geometry import Pose
from core.stop import Stop
from runtime.batching.fitting import fit_on_cpu
from runtime.bundles.bundle import Bundle
from runtime.inference.cuda.gpu_fit import GpuFit
from runtime.inference.cuda.tensorrt_backend import TensorRtBackend
from runtime.inference.selection import open_backend
from runtime.inference.settings import BackendSettings
from runtime.parts.layout import Layout
from runtime.settings import InspectionSettings
from runtime.station.assembly import open_inspection
from tests.runtime.cuda_stand_in import StandIn
from tests.runtime.frames_kernel import FramesKernel, noise
from tests.runtime.mes import Subscriber
from tests.runtime.pictures import bad_picture, write_pictures

ROW = (48, 48)


@pytest.fixture
def frames_gpu(gpu: StandIn, frames_kernel: FramesKernel) -> StandIn:
    gpu.kernel = frames_kernel
    return gpu


@pytest.fixture
def fit(frames_gpu: StandIn) -> Iterator[GpuFit]:
    gpu_fit = GpuFit(0, ROW)
    frames_gpu.calls.clear()
    yield gpu_fit
    gpu_fit.close()
    assert frames_gpu.held == []


def frame_of(layout: Layout, seed: int) -> NDArray[np.uint8]:
    size = (60 + seed * 7, 80 + seed * 5)
    return noise(seed, (*size, 3) if layout in ("BGR", "RGB") else size)


def differs(gpu_fit: GpuFit, pixels: NDArray[np.uint8], layout: Layout = "BGR") -> int:
    rows = [np.zeros((*ROW, 3), np.uint8) for _ in range(2)]
    picture = gpu_fit(pixels, layout, rows[0], (3, 5, 50, 50))
    assert np.array_equal(picture(), fit_on_cpu(pixels, layout, rows[1], (3, 5, 50, 50))())
    return int(np.abs(rows[0].astype(np.int16) - rows[1]).max())


def test_rows_of_many_cameras_at_once_are_the_cpus(fit: GpuFit, frames_gpu: StandIn) -> None:
    layouts: list[Layout] = list(get_args(Layout))
    with ThreadPoolExecutor(8) as cameras:
        jobs = [(frame_of(layouts[number % 6], number), layouts[number % 6]) for number in range(40)]
        assert max(cameras.map(lambda job: differs(fit, *job), jobs)) <= 1
    assert frames_gpu.calls.count("cuLaunchKernel") == 40
    assert sum(name.startswith("locked") for name in frames_gpu.held) <= 8  # as many as came at once


def test_a_region_outside_is_refused_as_on_the_cpu_and_what_lies_at_an_angle_is_the_cpus(
    fit: GpuFit, frames_gpu: StandIn
) -> None:
    row, part = np.zeros((*ROW, 3), np.uint8), np.zeros((90, 120, 3), np.uint8)
    with pytest.raises(DataError, match="does not lie within"):
        fit(part, "BGR", row, (100, 0, 50, 50))
    part[30:60, 20:100] = 200
    fit(part, "BGR", row, None, Pose((80, 30)))
    assert row.mean() > 150
    assert frames_gpu.calls == []


def test_a_gpu_that_fails_is_told_of_once_and_the_cpu_goes_on(
    fit: GpuFit, frames_gpu: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    frames_gpu.fault = "an illegal memory access was encountered"
    with caplog.at_level(logging.WARNING):
        assert differs(fit, noise(1, (100, 100))) == 0
        assert differs(fit, noise(2, (100, 100, 3))) == 0
    assert [record.getMessage() for record in caplog.records] == [
        "frames are resized on the CPU until the engine is opened again "
        "reason='cuMemcpyHtoDAsync failed: an illegal memory access was encountered'"
    ]
    frames_gpu.fault = None


def test_rows_that_are_not_the_cpus_are_refused_at_once(frames_gpu: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    assert frames_gpu.kernel is not None
    monkeypatch.setattr(frames_gpu.kernel, "launch", lambda grid, block, arguments: None)
    with pytest.raises(BackendError, match=r"a row is off by \d+ grey levels from the CPU's; set backend.frames: cpu"):
        GpuFit(0, ROW)
    assert frames_gpu.held == []


def test_a_gpu_that_cannot_is_an_error_with_a_remedy(frames_gpu: StandIn) -> None:
    frames_gpu.fault = "out of memory"
    with pytest.raises(BackendError, match="cuStreamCreate failed: out of memory; set backend.frames: cpu"):
        GpuFit(0, ROW)
    frames_gpu.fault = None
    assert frames_gpu.held == []


def test_without_an_engine_it_is_refused_in_words(bundle: Bundle) -> None:
    with pytest.raises(
        BackendError, match="gpu needs backend.kind: tensorrt, and onnxruntime-cpu computes here .asked"
    ):
        open_backend(BackendSettings(kind="onnxruntime-cpu", frames="gpu"), bundle, 2)


def test_it_goes_with_the_backend_and_comes_with_the_next(frames_gpu: StandIn, bundle: Bundle) -> None:
    for _ in range(2):
        backend = TensorRtBackend(bundle, bundle.manifest.engines[0], 4, frames="gpu")
        buffer, frame = backend.new_batch(), bad_picture(1, (96, 144))
        frames_gpu.calls.clear()
        backend.fit(frame, "BGR", buffer[0])
        assert "cuLaunchKernel" in frames_gpu.calls
        backend.submit(buffer[:1]).errors()
        backend.close()
        assert frames_gpu.held == []
        frames_gpu.calls.clear()
        backend.fit(frame, "BGR", buffer[1])  # a camera that is late
        assert np.abs(buffer[1].astype(np.int16) - buffer[0]).max() <= 1
        assert frames_gpu.calls == []


def test_an_inspection_judges_frames_that_the_gpu_resized(
    frames_gpu: StandIn, bundle: Bundle, tmp_path: Path, mes: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.inference.cuda.engine_fit.version", lambda package: "2026.1")
    folder = write_pictures(tmp_path / "pictures", good=8, bad=2)
    settings = InspectionSettings.model_validate(
        {
            "bundle": bundle.path,
            "station": "test-1",
            "cameras": {"top": {"kind": "folder", "path": folder, "roi": [1, 1, 46, 46]}},
            "batching": {"max_batch": 4},
            "backend": {"kind": "tensorrt", "frames": "gpu"},
            "broker": {"host": "127.0.0.1", "port": mes.port},
            "outbox": {"path": tmp_path / "box.sqlite"},
        }
    )
    with open_inspection(settings) as inspection:
        frames_gpu.calls.clear()
        summary = inspection.run(Stop())
    assert frames_gpu.calls.count("cuLaunchKernel") == summary.judged == 10
    assert (summary.verdicts["OK"], summary.verdicts["NotOK"]) == (8, 2)
    assert frames_gpu.held == []
