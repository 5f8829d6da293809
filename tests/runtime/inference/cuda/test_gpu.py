"""What GPU a machine has: asked of a driver that is there, refuses, or is not."""

import numpy as np
import pytest

from runtime.inference.cuda import gpu
from runtime.inference.cuda.gpu import Gpu, NoGpuError, find_gpu, page_lock, page_unlock
from tests.runtime.cuda_driver_stand_in import Driver


def test_a_gpu_is_found_by_name_and_capability(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "driver", lambda: Driver([]))
    assert find_gpu() == Gpu("NVIDIA Stand-In", (8, 9), 58)
    assert Gpu("", (12, 0), 1).target == "sm120"


def why_not(number: int) -> str:
    with pytest.raises(NoGpuError) as refusal:
        find_gpu(number)
    return str(refusal.value)


def test_what_keeps_one_from_being_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "driver", lambda: Driver([], count=0))
    assert why_not(0) == "the NVIDIA driver shows no GPU"
    monkeypatch.setattr(gpu, "driver", lambda: Driver([]))
    assert why_not(1) == "the NVIDIA driver shows 1 GPU, and none with the number 1 (backend.device)"
    monkeypatch.setattr(gpu, "driver", lambda: Driver([], refusal=803))
    assert why_not(0) == "the NVIDIA driver refuses (CUDA error 803: no such luck)"
    monkeypatch.undo()
    monkeypatch.setattr(gpu, "DRIVER", "libno-such-driver.so.1")
    assert why_not(0) == "no NVIDIA driver on this machine (libno-such-driver.so.1)"


def test_page_locked_memory_is_whole_pages_of_zeros_and_stays_when_it_is_unlocked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held: list[str] = []
    monkeypatch.setattr(gpu, "driver", lambda: Driver(held))
    array = page_lock((2, 3, 5), np.float32)
    assert (array.shape, array.dtype.name, array.ctypes.data % 4096) == ((2, 3, 5), "float32", 0)
    assert not array.any()
    assert held == [f"locked {array.ctypes.data}"]
    page_unlock(array)
    assert held == []
    array[:] = 1
