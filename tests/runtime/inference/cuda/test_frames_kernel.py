"""The kernel that resizes frames gives what the CPU gives, within a grey level: its source, compiled for the CPU."""

import hashlib
import shutil
import struct
import subprocess
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.errors import DataError
from core.pictures.geometry import Roi
from runtime.batching.fitting import fit_on_cpu
from runtime.inference.cuda.frame_piece import ARGUMENTS, piece_of
from runtime.parts.layout import Layout
from tests.runtime.frames_kernel import KERNELS, FramesKernel, noise

LAYOUTS = ("grey", *get_args(Layout))
SIDES = st.integers(3, 90)


def frame_of(layout: str, size: tuple[int, int], seed: int, is_harsh: bool) -> tuple[NDArray[np.uint8], Layout]:
    width, height = size
    pixels = noise(seed, (height, width, 3) if layout in ("BGR", "RGB") else (height, width), is_harsh)
    return pixels, "BGR" if layout == "grey" else layout  # type: ignore[return-value]


def by_kernel(
    kernel: FramesKernel, pixels: NDArray[np.uint8], layout: Layout, row: NDArray[np.uint8], roi: Roi | None
) -> None:
    piece = piece_of(pixels, layout, roi)
    copied = np.ascontiguousarray(piece.pixels)
    height, width = row.shape[:2]
    arguments = piece.arguments(copied.ctypes.data, row.ctypes.data, (width, height))
    kernel.launch((-(-width // 16), -(-height // 16), 1), (16, 16, 1), struct.pack(ARGUMENTS, *arguments))


def difference(
    kernel: FramesKernel, pixels: NDArray[np.uint8], layout: Layout, size: tuple[int, int], roi: Roi | None
) -> int:
    rows = [np.full((*size[::-1], 3), 77, np.uint8) for _ in range(2)]
    by_kernel(kernel, pixels, layout, rows[0], roi)
    fit_on_cpu(pixels, layout, rows[1], roi)
    return int(np.abs(rows[0].astype(np.int16) - rows[1]).max())


@settings(deadline=None, max_examples=100)
@given(
    st.sampled_from(LAYOUTS),
    st.tuples(SIDES, SIDES),
    st.tuples(SIDES, SIDES),
    st.tuples(*[st.floats(0, 1)] * 4) | st.none(),
    st.booleans(),
)
@example("grey", (6, 9), (34, 51), None, True)  # where OpenCV's arithmetic falls short of a whole number
def test_any_frame_and_region_gives_the_cpus_row(
    frames_kernel: FramesKernel,
    layout: str,
    size: tuple[int, int],
    row_size: tuple[int, int],
    part: tuple[float, ...] | None,
    is_harsh: bool,
) -> None:
    roi = None
    if part is not None:
        width, height = (max(1, round(side * share)) for side, share in zip(size, part[:2], strict=True))
        roi = (round((size[0] - width) * part[2]), round((size[1] - height) * part[3]), width, height)
    pixels, named = frame_of(layout, size, sum(size), is_harsh)
    assert difference(frames_kernel, pixels, named, row_size, roi) <= 1


@pytest.mark.parametrize(("layout", "row_size"), [("grey", (144, 144)), ("RGB", (480, 144)), ("RG", (612, 512))])
def test_a_frame_of_5_megapixels_gives_the_cpus_row(
    frames_kernel: FramesKernel, layout: str, row_size: tuple[int, int]
) -> None:
    pixels, named = frame_of(layout, (2448, 2048), 1, False)
    assert difference(frames_kernel, pixels, named, row_size, None) <= 1
    assert difference(frames_kernel, pixels, named, row_size, (301, 207, 1800, 1333)) <= 1


def test_a_frame_of_the_rows_size_stays_as_it_is(frames_kernel: FramesKernel) -> None:
    pixels, row = noise(3, (40, 50, 3)), np.zeros((40, 50, 3), np.uint8)
    by_kernel(frames_kernel, pixels, "BGR", row, None)
    assert np.array_equal(row, pixels)


def test_a_region_of_a_mosaic_takes_along_what_its_colours_need() -> None:
    pixels = noise(4, (40, 50))
    assert piece_of(pixels, "RG", (10, 1, 20, 39)).pixels.shape == (40, 24)
    assert piece_of(pixels, "BGR", (10, 1, 20, 39)).pixels.shape == (39, 20)
    with pytest.raises(DataError, match="does not lie within"):
        piece_of(pixels, "RG", (10, 2, 20, 39))


def test_what_the_driver_is_given_was_compiled_from_the_source() -> None:
    digest = hashlib.sha256((KERNELS / "frames.cu").read_bytes()).hexdigest()
    lines = (KERNELS / "frames.ptx").read_text().splitlines()
    assert lines[0] == f"// frames.cu {digest}", "run `make kernels`"
    assert ".version 7.0" in lines


@pytest.mark.skipif(not shutil.which("ptxas"), reason="no CUDA toolkit: ptxas takes the kernel for each GPU")
@pytest.mark.parametrize("target", ["sm_75", "sm_90", "sm_120"])
def test_it_is_taken_for_every_gpu(target: str, tmp_path: Path) -> None:
    command = ["ptxas", "-arch", target, "-o", str(tmp_path / "frames.cubin"), str(KERNELS / "frames.ptx")]
    subprocess.run(command, check=True)
