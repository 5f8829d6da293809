"""What a factory camera sends becomes 8 bits, whatever its depth and colour mosaic."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.pictures.picture import as_bgr_u8
from runtime.cameras.factory.pixel_format import Raw, require_known, to_u8
from runtime.parts.layout import to_bgr

RED, GREEN, BLUE = 200, 120, 40


def in_bgr(raw: Raw, name: str) -> NDArray[np.uint8]:
    return to_bgr(*to_u8(raw, name))


@given(st.sampled_from([10, 12, 14, 16]), st.data())
def test_deeper_pixels_are_scaled_by_their_own_depth(bits: int, data: st.DataObject) -> None:
    largest = 2**bits - 1
    value = data.draw(st.integers(0, largest))
    scaled = in_bgr(np.full((2, 2), value, np.uint16), f"Mono{bits}")
    assert (scaled == value * 255 // largest).all()
    brightest = in_bgr(np.full((2, 2), largest, np.uint16), f"Mono{bits}p")
    assert (brightest == 255).all()


def test_16_bits_give_what_a_picture_file_of_16_bits_gives() -> None:
    every = np.arange(2**16, dtype=np.uint16).reshape(256, 256)
    assert np.array_equal(in_bgr(every, "Mono16"), as_bgr_u8(every)[:, :, 0])


@pytest.mark.parametrize("depth", [8, 12])
@pytest.mark.parametrize("mosaic", ["RG", "GB", "GR", "BG"])
def test_a_mosaic_of_one_colour_gives_that_colour(mosaic: str, depth: int) -> None:
    rows = {"RG": "RGGB", "GB": "GBRG", "GR": "GRBG", "BG": "BGGR"}[mosaic]
    cell = np.array([{"R": RED, "G": GREEN, "B": BLUE}[letter] for letter in rows]).reshape(2, 2)
    raw = np.tile(cell, (4, 4)).astype(np.uint8)
    deep = (raw.astype(np.uint32) * (2**depth - 1) + 254) // 255
    pixels = in_bgr(raw if depth == 8 else deep.astype(np.uint16), f"Bayer{mosaic}{depth}")
    assert pixels.dtype == np.uint8
    assert np.array_equal(np.unique(pixels.reshape(-1, 3), axis=0), [[BLUE, GREEN, RED]])


def test_rgb_is_turned_to_bgr_and_grey_stays_one_channel() -> None:
    rgb = np.full((2, 2, 3), (RED, GREEN, BLUE), np.uint8)
    assert tuple(in_bgr(rgb, "RGB8")[0, 0]) == (BLUE, GREEN, RED)
    assert np.array_equal(in_bgr(np.full((2, 2), 7, np.uint8), "Mono8"), np.full((2, 2), 7))


def test_a_format_that_holds_no_picture_is_not_known() -> None:
    assert require_known("Mono8") == "Mono8"
    with pytest.raises(OSError, match=r"its pixel format Coord3D_ABC32f is not known here; set"):
        require_known("Coord3D_ABC32f")
    with pytest.raises(ValueError, match="Coord3D_ABC32f is not known"):
        to_u8(np.zeros(12, np.uint8), "Coord3D_ABC32f")
