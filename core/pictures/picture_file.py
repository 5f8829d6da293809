"""Picture files: decoded whole or not at all, and upright."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from core.pictures.picture_header import LARGEST_PIXELS, OTHER_COLOURS, TRUNCATED, PictureFault, read_header

LARGEST_BYTES = 2**30
COLOURS_AND_ALPHA = 4
"""Channels."""
BMP_HEADER_WITH_ALPHA = 56
"""Bytes of the least header that says where alpha is."""
TRANSPARENT = "is transparent in places, so nobody knows what stands there; save it without transparency (alpha)"


def decode(data: bytes, most_pixels: int = LARGEST_PIXELS) -> NDArray[Any]:
    """Decode a picture (H, W) or (H, W, channels) in OpenCV's order, upright, with its file's channels and depth.

    Raises PictureFault where it is not whole, or larger than `most_pixels` of four bytes: that is found beforehand.
    """
    header = read_header(data)
    if header.width * header.height > (most := header.most(most_pixels)):
        of = f" of {header.pixel_bytes} bytes" if most < most_pixels else ""
        raise PictureFault(
            f"{header.width} x {header.height} pixels{of} are more than the {most:,} that are allowed; cut it up"
        )
    if data.startswith(b"\xff\xd8"):
        return _turn(_decode_jpeg(data), header.orientation)
    pixels = _decode_other(data)
    if header.unseen is not None and (pixels == header.unseen).any():
        raise PictureFault(TRANSPARENT)
    return _turn(pixels, header.orientation)


def _decode_jpeg(data: bytes) -> NDArray[Any]:
    import simplejpeg

    try:
        colours = simplejpeg.decode_jpeg_header(data)[2]
        if colours in ("CMYK", "YCCK"):
            raise PictureFault(OTHER_COLOURS.format(colours))
        if colours == "Gray":
            return np.asarray(simplejpeg.decode_jpeg(data, "GRAY"))[:, :, 0]
        return np.asarray(simplejpeg.decode_jpeg(data, "BGR"))
    except PictureFault:
        raise
    except ValueError as error:
        raise PictureFault(f"not a whole picture (damaged JPEG: {str(error).rstrip('.').lower()})") from error


def _decode_other(data: bytes) -> NDArray[Any]:
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise PictureFault(TRUNCATED) from error
    if pixels is None:
        raise PictureFault(TRUNCATED)
    if pixels.ndim == 3 and pixels.shape[2] == COLOURS_AND_ALPHA and _tells_alpha(data):
        _require_opaque(pixels)
    return np.asarray(pixels)


def _tells_alpha(data: bytes) -> bool:
    """Whether a fourth channel is one: a BMP with an older header has a byte there that nobody uses, 0 as a rule."""
    return not data.startswith(b"BM") or int.from_bytes(data[14:18], "little") >= BMP_HEADER_WITH_ALPHA


def _require_opaque(pixels: NDArray[Any]) -> None:
    """Refuse what is transparent in places: some programs save black there, others what was below, and nobody sees it.

    A fourth channel that is no transparency, infrared say, is refused with it: it would not be judged.
    """
    if pixels.dtype in (np.uint8, np.uint16) and pixels[..., 3].min() < np.iinfo(pixels.dtype).max:
        raise PictureFault(TRANSPARENT)


def _turn(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn a picture upright; EXIF mirrors before it turns."""
    if orientation in (2, 4, 5, 7):
        pixels = cv2.flip(pixels, 1)
    turns = {3: cv2.ROTATE_180, 4: cv2.ROTATE_180, 6: cv2.ROTATE_90_CLOCKWISE, 7: cv2.ROTATE_90_CLOCKWISE}
    turns |= {5: cv2.ROTATE_90_COUNTERCLOCKWISE, 8: cv2.ROTATE_90_COUNTERCLOCKWISE}
    return cv2.rotate(pixels, turns[orientation]) if orientation in turns else pixels
