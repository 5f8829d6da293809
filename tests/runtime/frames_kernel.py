"""The kernel of frames.cu, compiled for the CPU: what it computes can be looked at where there is no GPU."""

import ctypes
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

KERNELS = Path(__file__).parents[2] / "runtime" / "inference" / "kernels"
SOURCE = Path(__file__).parent / "stand_in_driver" / "frames_on_cpu.cpp"


class FramesKernel:
    """A library that lies in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        """Compile it. Skips the test where there is no C++ compiler."""
        if not shutil.which("c++"):
            pytest.skip("no C++ compiler for the kernel")
        self.file = folder / "frames.so"
        flags = ["-Wall", "-Wextra", "-Werror", "-O2", "-shared", "-fPIC"]
        subprocess.run(["c++", *flags, "-I", KERNELS, SOURCE, "-o", self.file], check=True)
        self._library = ctypes.CDLL(str(self.file))

    def launch(self, grid: tuple[int, ...], block: tuple[int, ...], arguments: bytes) -> None:
        """Do what `cuLaunchKernel` lets a GPU do."""
        three: Any = ctypes.c_uint * 3
        self._library.fit_frame_on_cpu(three(*grid), three(*block), arguments)


def noise(seed: int, shape: tuple[int, ...], is_harsh: bool = False) -> NDArray[np.uint8]:
    """A picture in which neighbours have nothing in common; `is_harsh`: in black and white alone."""
    values = np.random.default_rng(seed).integers(0, 2 if is_harsh else 256, shape, np.uint8)
    return values * 255 if is_harsh else values
