"""ONNX Runtime's backend as it asks for a GPU: the session computes on the CPU, the driver is a stand-in.

What these tests show is what is asked for, when and on which thread; not that CUDA does it.
"""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from core.errors import BackendError
from runtime.bundles.bundle import Bundle, load_bundle
from runtime.bundles.manifest import ERROR_MAP, ERRORS
from runtime.inference.backend import SPARE, BackendFault
from runtime.inference.cuda import gpu
from runtime.inference.onnx_backend import PROVIDERS, OnnxBackend
from tests.runtime.cuda_driver_stand_in import Driver
from tests.runtime.pictures import bad_picture, expected_errors, good_picture

BATCH = 4
Session = onnxruntime.InferenceSession


class Asked:
    """What was asked of the session."""

    def __init__(self) -> None:
        self.options: dict[str, str] = {}
        self.sizes: list[set[int]] = []
        """Of each session."""
        self.outputs: set[tuple[str, str]] = set()
        self.threads: set[int] = set()
        self.fault: str | None = None


class OnTheCpu:
    """A session that says it were on a GPU."""

    def __init__(self, asked: Asked, model: bytes, providers: list[Any]) -> None:
        self._asked, self._sizes = asked, set[int]()
        asked.sizes.append(self._sizes)
        (provider, asked.options), self._cpu = providers
        assert provider == PROVIDERS["cuda"]
        self._session = Session(model, providers=[self._cpu])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def get_providers(self) -> list[str]:
        return [PROVIDERS["cuda"], self._cpu]

    def io_binding(self) -> Any:
        asked, binding = self._asked, self._session.io_binding()
        bind_input, bind_output = binding.bind_cpu_input, binding.bind_output

        def note_input(name: str, frames: Any) -> None:
            asked.threads.add(threading.get_ident())
            if asked.fault is not None:
                raise RuntimeError(asked.fault)
            self._sizes.add(len(frames))
            bind_input(name, frames)

        def note_output(name: str, device: str, number: int = 0) -> None:
            assert number == (1 if device == "cuda" else 0)
            asked.outputs.add((name, device))
            bind_output(name, "cpu")

        binding.bind_cpu_input, binding.bind_output = note_input, note_output
        return binding


@pytest.fixture
def bundle(bundle_path: Path) -> Bundle:
    return load_bundle(bundle_path)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    standing_in = Driver([])
    monkeypatch.setattr(gpu, "driver", lambda: standing_in)
    return standing_in


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    noted = Asked()
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: list(PROVIDERS.values()))
    monkeypatch.setattr("onnxruntime.preload_dlls", lambda: None)
    monkeypatch.setattr(
        "onnxruntime.InferenceSession", lambda model, _options, providers, **_: OnTheCpu(noted, model, providers)
    )
    return noted


@pytest.fixture
def backend(asked: Asked, driver: Driver, bundle: Bundle) -> Iterator[OnnxBackend]:
    opened = OnnxBackend(bundle, BATCH, provider="cuda", device=1)
    yield opened
    opened.close()


def test_float32_stays_float32_and_no_batch_searches_anew(backend: OnnxBackend, asked: Asked) -> None:
    assert asked.options == {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC", "device_id": "1"}


def test_each_session_has_judged_the_one_size_that_it_ever_judges_before_the_first_part_comes(
    backend: OnnxBackend, asked: Asked
) -> None:
    assert asked.sizes == [{1}, {2}, {4}]
    buffer = backend.new_batch()
    for rows in range(1, BATCH + 1):
        buffer[:rows] = np.stack([good_picture(1), bad_picture(2)] * 2)[:rows]
        pending = backend.submit(buffer[:rows])
        expected = np.stack([expected_errors(picture) for picture in buffer[:rows]])
        assert pending.errors() == pytest.approx(expected, rel=1e-3)
        assert pending.error_maps().shape[0] == rows
    assert asked.sizes == [{1}, {2}, {4}]  # cuDNN would plan anew for another


def test_only_the_errors_are_fetched_and_maps_when_they_are_asked_for(backend: OnnxBackend, asked: Asked) -> None:
    buffer = backend.new_batch()
    buffer[:2] = np.stack([good_picture(1), bad_picture(2)])
    pending = backend.submit(buffer[:2])
    errors = pending.errors()
    assert asked.outputs == {(ERRORS, "cpu"), (ERROR_MAP, "cuda")}
    assert errors == pytest.approx(np.stack([expected_errors(picture) for picture in buffer[:2]]), rel=1e-3)
    assert pending.error_maps().mean(axis=(1, 2)) == pytest.approx(errors[:, 0], rel=1e-3)


def test_buffers_are_page_locked_by_the_thread_that_computes_and_let_go_at_the_end(
    backend: OnnxBackend, asked: Asked, driver: Driver
) -> None:
    buffers = [backend.new_batch() for _ in range(backend.depth + SPARE + 1)]  # one more than were made ready
    assert driver.held == [f"locked {buffer.ctypes.data}" for buffer in buffers]
    assert len(asked.threads) == 1
    assert threading.get_ident() not in asked.threads
    backend.close()
    assert driver.held == []
    buffers[0][:] = 7  # a camera that is late


@pytest.mark.parametrize(("status", "answers_then"), [(700, 700), (719, 719), (100, 100), (2, 0)])
def test_a_fault_says_whether_it_stays_with_the_process(
    backend: OnnxBackend, asked: Asked, driver: Driver, status: int, answers_then: int
) -> None:
    asked.fault, driver.broken = f"CUDA failure {status}", answers_then
    with pytest.raises(BackendFault, match=f"ONNX Runtime: CUDA failure {status}") as told:
        backend.submit(backend.new_batch()).errors()
    assert told.value.is_sticky == bool(answers_then)


def test_memory_that_cannot_be_locked_keeps_it_from_opening_in_one_line(
    asked: Asked, driver: Driver, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "cuMemHostRegister_v2", lambda *_: 2)
    with pytest.raises(BackendError, match="cannot get page-locked memory .CUDA error 2"):
        OnnxBackend(bundle, BATCH, provider="cuda", device=1)


def test_where_the_gpu_is_lost_before_the_first_batch_the_buffers_are_there(
    backend: OnnxBackend, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "cuMemHostRegister_v2", lambda *_: 999)
    for _ in range(backend.depth + SPARE):
        backend.new_batch()
    with pytest.raises(BackendFault, match="CUDA error 999"):
        backend.new_batch()
