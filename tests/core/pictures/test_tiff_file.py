"""A TIFF of few bytes takes neither the memory nor the hours that it claims; one that is large and whole is read."""

import io
import struct
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from core.pictures import tiff_file
from core.pictures.picture_file import decode
from core.pictures.picture_header import PictureFault

DEFLATE, JPEG = 8, 7


def tiff(piece: bytes, packed: int, times: int) -> bytes:
    """Write grey of 100 x 20 pixels, of which each strip is the same piece."""
    at = 8 + len(piece)
    places, lengths = struct.pack(f"<{times}I", *[8] * times), struct.pack(f"<{times}I", *[len(piece)] * times)
    tags = [(256, 1, 100), (257, 1, 20), (258, 1, 8), (259, 1, packed), (262, 1, 1), (273, times, at)]
    tags += [(277, 1, 1), (278, 1, 1), (279, times, at + 4 * times)]
    folder = b"".join(struct.pack("<HHII", tag, 4, number, value) for tag, number, value in tags)
    head = b"II*\0" + struct.pack("<I", at + 8 * times)
    return head + piece + places + lengths + struct.pack("<H", len(tags)) + folder + bytes(4)


def jpeg(side: int) -> bytes:
    return bytes(cv2.imencode(".jpg", np.zeros((side, side), np.uint8))[1])


def jpeg_that_claims(side: int) -> bytes:
    content = bytearray(jpeg(16))
    at = content.index(b"\xff\xc0") + 5
    content[at : at + 4] = struct.pack(">HH", side, side)
    return bytes(content)


@pytest.mark.parametrize(
    ("piece", "packed", "times"),
    [
        (zlib.compress(bytes(2 * tiff_file.SMALL), 9), DEFLATE, 20),
        (zlib.compress(b"")[:2] + 40_000 * b"\0\0\0\xff\xff", DEFLATE, 200),
        (jpeg_that_claims(65_500), JPEG, 20),
        (jpeg(2000), JPEG, 20),
        (jpeg(16).replace(b"\xff\xd9", 101 * b"\xff\xda\0\6\1\1\0\0\0\0\xff\xd9"), JPEG, 2),
    ],
    ids=["inflated", "the same again and again", "a JPEG that claims 4 GB", "many JPEGs", "many scans"],
)
def test_one_whose_data_claims_more_than_its_picture_has_is_refused_at_once(
    piece: bytes, packed: int, times: int
) -> None:
    data = tiff(piece, packed, times)
    tracemalloc.start()
    with pytest.raises(PictureFault, match="claims more data than its picture has"):
        decode(data)
    taken_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken_bytes < 2 * tiff_file.SMALL


def test_what_follows_the_data_in_a_strip_is_not_copied() -> None:
    data = tiff(zlib.compress(bytes(1000)) + bytes(2_000_000), DEFLATE, 2)
    tracemalloc.start()
    assert tiff_file.require_whole(data)
    taken_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken_bytes < 1_000_000


@pytest.mark.parametrize("compression", ["tiff_adobe_deflate", "jpeg"])
def test_a_large_one_in_strips_is_read(compression: str) -> None:
    grey = np.repeat(np.arange(256, dtype=np.uint8), 64 * 5000).reshape(-1, 5000)[:5000]
    file = io.BytesIO()
    Image.fromarray(grey).save(file, "TIFF", compression=compression)
    assert np.abs(decode(file.getvalue()).astype(int) - grey).max() < 4
