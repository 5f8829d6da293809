"""GPUs as NVIDIA's driver tells of them: memory, load and temperature. Nothing, where there is no driver or no GPU."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class GpuReading:
    """One GPU; None where it does not tell."""

    number: str
    """By the driver's count, as `nvidia-smi` shows it; CUDA may count otherwise."""
    name: str
    memory_used_bytes: float | None
    memory_total_bytes: float | None
    load: float | None
    """Share of the last moment in which something ran on it, 0 to 1."""
    temperature_c: float | None


class GpuReader:
    """Asks NVML, through nvidia-ml-py; any thread may."""

    def __init__(self) -> None:
        self._nvml = _open()

    def read(self) -> list[GpuReading]:
        """Read every GPU; none where the driver no longer answers."""
        nvml = self._nvml
        if nvml is None:
            return []
        try:
            handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
        except nvml.NVMLError:
            return []
        return [self._read_one(nvml, number, handle) for number, handle in enumerate(handles)]

    def _read_one(self, nvml: Any, number: int, handle: Any) -> GpuReading:
        def ask(question: Callable[[], Any]) -> Any:
            try:
                return question()
            except nvml.NVMLError:  # a Jetson, or a part of a divided GPU, tells less
                return None

        memory = ask(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
        rates = ask(lambda: nvml.nvmlDeviceGetUtilizationRates(handle))
        return GpuReading(
            number=str(number),
            name=str(ask(lambda: nvml.nvmlDeviceGetName(handle)) or ""),
            memory_used_bytes=memory and float(memory.used),
            memory_total_bytes=memory and float(memory.total),
            load=rates and rates.gpu / 100,
            temperature_c=ask(lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)),
        )


def _open() -> Any:
    try:
        import pynvml
    except ModuleNotFoundError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml
