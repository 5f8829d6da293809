"""GPUs in the metrics: what NVML tells, what it does not, and a machine without any."""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from runtime.monitoring.gpu_reading import GpuReader, GpuReading
from runtime.monitoring.prometheus import StatusCollector
from tests.runtime.a_gpu import has_gpu
from tests.runtime.monitoring.test_health import WELL


def nvml(**answers: Any) -> ModuleType:
    """A stand-in for nvidia-ml-py with two GPUs."""

    class NVMLError(Exception): ...

    def refuse(*_: Any) -> None:
        raise NVMLError("Not Supported")

    module = ModuleType("pynvml")
    vars(module).update(
        NVMLError=NVMLError,
        NVML_TEMPERATURE_GPU=0,
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetName=lambda handle: f"GPU {handle}",
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(used=3e9, total=8e9),
        nvmlDeviceGetUtilizationRates=lambda handle: SimpleNamespace(gpu=25),
        nvmlDeviceGetTemperature=lambda handle, sensor: 61 + handle,
    )
    vars(module).update({name: refuse if answer is None else answer for name, answer in answers.items()})
    return module


def test_every_gpu_is_told_with_memory_load_and_temperature(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", nvml())
    registry = CollectorRegistry()
    registry.register(StatusCollector(lambda: WELL))
    lines = generate_latest(registry).decode().splitlines()
    for line in (
        'pwae_gpu_memory_used_bytes{gpu="0",name="GPU 0"} 3e+09',
        'pwae_gpu_memory_total_bytes{gpu="1",name="GPU 1"} 8e+09',
        'pwae_gpu_load{gpu="0",name="GPU 0"} 0.25',
        'pwae_gpu_temperature_celsius{gpu="1",name="GPU 1"} 62.0',
    ):
        assert line in lines


def test_what_a_gpu_does_not_tell_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = nvml(nvmlDeviceGetUtilizationRates=None, nvmlDeviceGetTemperature=None, nvmlDeviceGetCount=lambda: 1)
    monkeypatch.setitem(sys.modules, "pynvml", silent)
    assert GpuReader().read() == [GpuReading("0", "GPU 0", 3e9, 8e9, None, None)]
    registry = CollectorRegistry()
    registry.register(StatusCollector(lambda: WELL))
    told = generate_latest(registry).decode()
    assert "pwae_gpu_memory_used_bytes{" in told
    assert "pwae_gpu_load{" not in told


@pytest.mark.parametrize("away", ["nvmlInit", "nvmlDeviceGetCount"])
def test_a_driver_that_does_not_answer_is_no_gpu(away: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", nvml(**{away: None}))
    assert GpuReader().read() == []


@pytest.mark.skipif(has_gpu(), reason="there is a GPU")
def test_the_real_package_tells_of_no_gpu_where_there_is_none() -> None:
    pytest.importorskip("pynvml")
    assert GpuReader().read() == []
