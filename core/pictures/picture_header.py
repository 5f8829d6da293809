"""What a picture's file says of itself before anything is decoded, and whether it is whole.

Decoders fill what is missing with grey, black or what they please; so each format is held to what it has against that.
JPEG has a decoder that does not forgive, PNG its checksums, TIFF those of its compression; in what is packed as WebP
zeros are no picture. BMP and plain TIFF have nothing, and are refused where a page of the file is blank, as
preallocated files are that were never written to the end.
"""

import re
import struct
import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from core.pictures import tiff_file
from core.pictures.jpeg_holes import MOST_SCANS, MOST_SEGMENTS, SCAN, SMALLEST_HOLE, has_hole

PNG_GREY, GREY_AND_ALPHA = 0, 2
LARGEST_PIXELS = 2**28
"""16,384 x 16,384, of four bytes each: nine bytes of a header shall not claim all memory of a box."""
PAGE = 4096
"""Bytes that are all 0 where data should stand: a file's hole is as large as this or larger; in a file of few pages a
quarter of it."""
COLOURS_TAG, ORIENTATION_TAG = 262, 274
"""Of TIFF and of EXIF, which is written as a TIFF."""
BIG_TIFF = b"II+\0", b"MM\0+"
FILL = re.compile(rb"\xff+")
SEVERAL = "holds several pictures, of which one would be seen; save each as a file of its own"
TRUNCATED = "not a whole picture (empty, truncated or of an unknown format)"
UNKNOWN = "not a whole picture, or of an unknown format: PNG, JPEG, TIFF, BMP and WebP are read"
OTHER_COLOURS = "{} colours are not supported; save it in grey or RGB"
TIFF_COLOURS = {5: "CMYK", 8: "CIELAB", 9: "ICCLAB", 10: "ITULAB", 32844: "LogL", 32845: "LogLuv"}
"""Whose conversion would be a guess: OpenCV knows no profile, and gives other colours than people see."""


class PictureFault(ValueError):  # noqa: N818
    """Why a file's bytes are no picture that could be judged."""


class Header(NamedTuple):
    """What a file says of itself."""

    width: int
    height: int
    orientation: int = 1
    """As EXIF has it, 1 to 8: how the picture has to be turned to stand upright."""
    unseen: int | None = None
    """The grey level whose pixels are transparent, as a PNG without a channel for that may say."""
    pixel_bytes: int = 4
    """At most, of a pixel that is decoded."""

    def most(self, pixels: int) -> int:
        """Say how many of its pixels take as much memory as so many of four bytes."""
        return pixels * 4 // max(4, self.pixel_bytes)


def read_header(data: bytes) -> Header:
    """Raises PictureFault where the file is not whole, or of a kind that is not read."""
    try:
        header = _read(data)
    except PictureFault:
        raise
    except (struct.error, IndexError, ValueError) as error:
        raise PictureFault(TRUNCATED) from error
    if min(header.width, header.height) < 1:
        raise PictureFault(TRUNCATED)
    return header


def _read(data: bytes) -> Header:
    readers: dict[bytes, Callable[[bytes], Header]] = {
        b"\xff\xd8": _jpeg,
        b"\x89PNG\r\n\x1a\n": _png,
        b"BM": _bmp,
        b"II*\0": _tiff,
        b"MM\0*": _tiff,
        b"RIFF": _webp,
    }
    for mark, reader in readers.items():
        if data.startswith(mark):
            return reader(data)
    if data.startswith(BIG_TIFF):
        raise PictureFault("BigTIFF is not read; save it as TIFF or PNG")
    raise PictureFault(UNKNOWN if data else TRUNCATED)


def _jpeg(data: bytes) -> Header:
    """Read the segments up to the first scan."""
    at, orientation, frame, segments = 2, 1, b"", 0
    while data[at + 1] != 0xDA:
        if data[at] != 0xFF:
            raise PictureFault(TRUNCATED)
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xFF:  # any number of these may stand before a marker
            at = len(data) if (fill := FILL.match(data, at)) is None else fill.end() - 1
            continue
        if (segments := segments + 1) > MOST_SEGMENTS:
            raise PictureFault(TRUNCATED)
        body = data[at + 4 : at + 2 + length]
        if marker == 0xE1 and body.startswith(b"Exif\0\0"):
            orientation = _orientation(body[6:])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            frame = body
        at += 2 + max(2, length)
    bits, height, width, components = struct.unpack_from(">BHHB", frame)
    if bits != 8:
        raise PictureFault(f"{bits} bits a channel in a JPEG are not supported; save it as PNG")
    _require_all_scans(data, at, {frame[6 + 3 * number] for number in range(components)})
    if has_hole(data):
        raise PictureFault("not a whole picture (damaged JPEG: part of the file is blank)")
    return Header(width, height, orientation)


def _require_all_scans(data: bytes, start: int, components: set[int]) -> None:
    """Refuse a JPEG that ends between two scans: it is whole for its decoder, and coarse or without its colours."""
    lacking = {component: np.full(64, 99) for component in components}
    end = data.find(b"\xff\xd9", start)
    scans = re.finditer(SCAN, data[start : end if end >= 0 else len(data)])
    for number_of_scan, scan in enumerate(scans):
        if number_of_scan == MOST_SCANS:
            raise PictureFault(f"not a whole picture (damaged JPEG: more than {MOST_SCANS} scans)")
        at = start + scan.start() + 4
        count = data[at]
        first, last, precision = data[at + 1 + 2 * count : at + 4 + 2 * count]
        for number in range(count):
            if (component := data[at + 1 + 2 * number]) in lacking:
                lacking[component][first : last + 1] = precision & 15
    if any(bits.any() for bits in lacking.values()):
        raise PictureFault("not a whole picture (damaged JPEG: scans are missing)")


def _png(data: bytes) -> Header:
    width, height, depth, colours = struct.unpack_from(">IIBB", data, 16)
    orientation, unseen, at, kind = 1, None, 8, b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, at)
        (expected,) = struct.unpack_from(">I", data, at + 8 + length)
        if zlib.crc32(memoryview(data)[at + 4 : at + 8 + length]) != expected:
            raise PictureFault("not a whole picture (damaged PNG: a checksum differs)")
        if kind == b"eXIf":
            orientation = _orientation(data[at + 8 : at + 8 + length])
        if kind == b"acTL" and struct.unpack_from(">I", data, at + 8)[0] > 1:
            raise PictureFault(SEVERAL)
        if kind == b"tRNS" and colours == PNG_GREY:  # of colours OpenCV makes a fourth channel
            level = struct.unpack_from(">H", data, at + 8)[0] & (1 << depth) - 1
            unseen = level if depth > 8 else level * 255 // ((1 << depth) - 1)
        at += 12 + length
    return Header(width, height, orientation, unseen, (1 if colours == PNG_GREY else 4) * (2 if depth > 8 else 1))


def _bmp(data: bytes) -> Header:
    begin, size = struct.unpack_from("<II", data, 10)
    if size == 12:
        width, height, _, depth = struct.unpack_from("<HHHH", data, 18)
        packed = 0
    else:
        width, height, _, depth, packed = struct.unpack_from("<iiHHI", data, 18)
    height = abs(height)
    if packed in (0, 3) and begin + (width * depth + 31) // 32 * 4 * height > len(data):
        raise PictureFault(TRUNCATED)
    _require_no_hole(data)
    return Header(width, height)


def _tiff(data: bytes) -> Header:
    tags = tiff_file.numbers(data)
    pixel_bytes = tags.get(tiff_file.CHANNELS, 1) * tags.get(tiff_file.BITS, 1) // 8
    # OpenCV turns a TIFF by itself.
    header = Header(tags.get(tiff_file.WIDTH, 0), tags.get(tiff_file.HEIGHT, 0), pixel_bytes=pixel_bytes)
    if header.width * header.height > header.most(LARGEST_PIXELS):
        return header
    if colours := TIFF_COLOURS.get(tags.get(COLOURS_TAG, 1)):
        raise PictureFault(OTHER_COLOURS.format(colours))
    if (packed := tags.get(tiff_file.COMPRESSION, 1)) not in tiff_file.READ:
        raise PictureFault(
            f"TIFF packed in a way that is not read ({packed}); pack it by LZW or Deflate, or save it as PNG"
        )
    if tags.get(tiff_file.CHANNELS) == GREY_AND_ALPHA:  # OpenCV would leave the second one out
        raise PictureFault("TIFF of two channels, as of grey with transparency (alpha); save it in grey alone")
    try:
        is_sure = tiff_file.require_whole(data)
    except tiff_file.SeveralPictures as error:
        raise PictureFault(SEVERAL) from error
    except tiff_file.Damaged as error:
        raise PictureFault(f"not a whole picture (damaged TIFF: {error})") from error
    if not is_sure:
        _require_no_hole(data)
    return header


def _webp(data: bytes) -> Header:
    (size,) = struct.unpack_from("<I", data, 4)
    if data[8:12] != b"WEBP" or 8 + size > len(data):
        raise PictureFault(TRUNCATED)
    _require_no_hole(data)
    width = height = 0
    orientation, at, frames = 1, 12, 0
    while at + 8 <= 8 + size:
        kind, length = struct.unpack_from("<4sI", data, at)
        at += 8
        if kind in (b"VP8 ", b"VP8L") and bytes(SMALLEST_HOLE) in data[at : at + length]:
            raise PictureFault("not a whole picture (damaged WebP: part of the file is blank)")
        if kind == b"VP8X":
            width, height = (1 + int.from_bytes(data[at + place : at + place + 3], "little") for place in (4, 7))
        elif kind == b"VP8 " and not width:
            width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, at + 6))
        elif kind == b"VP8L" and not width:
            (bits,) = struct.unpack_from("<I", data, at + 1)
            width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        elif kind == b"EXIF":
            orientation = _orientation(data[at : at + length].removeprefix(b"Exif\0\0"))
        elif kind == b"ANMF" and (frames := frames + 1) > 1:
            raise PictureFault(SEVERAL)
        at += length + length % 2
    return Header(width, height, orientation)


def _require_no_hole(data: bytes) -> None:
    if bytes(min(PAGE, max(SMALLEST_HOLE, len(data) // 4))) in data:
        raise PictureFault(
            "not a whole picture (part of the file is blank; if that is how it looks, save it as PNG, which can tell)"
        )


def _orientation(exif: bytes) -> int:
    """Read the orientation from EXIF data; what cannot be read there turns nothing."""
    try:
        return tiff_file.numbers(exif).get(ORIENTATION_TAG, 1)
    except (struct.error, IndexError):
        return 1
