"""Pixel formats of GenICam cameras, by EMVA's PFNC names: what a camera sends becomes 8 bits. Pure."""

import re
from typing import cast

import numpy as np
from numpy.typing import NDArray

from core.pictures.picture import scaled_to_u8
from runtime.parts.layout import Layout

Raw = NDArray[np.uint8] | NDArray[np.uint16]
"""(H, W) of a mono camera or a colour mosaic, or (H, W, 3) in RGB; deeper than 8 bits in the camera's own values."""
KNOWN = re.compile(r"(?P<family>Mono|Bayer|RGB|BGR|YUV|YCbCr)(?P<mosaic>RG|GB|GR|BG)?(?P<depth>\d+)?")
MOSAICS = ("BayerRG8", "BayerGB8", "BayerGR8", "BayerBG8")
CHANNELS = {"Mono8": 1, **dict.fromkeys(MOSAICS, 1), "RGB8": 3, "RGB8Packed": 3}
"""Of formats that are laid out as an array is, by either of their names."""


def require_known(name: str) -> str:
    """Give the `name` of a camera's format. Raises OSError where its pictures cannot be judged."""
    if KNOWN.match(name) is None:
        raise OSError(f"its pixel format {name} is not known here; set features.PixelFormat")
    return name


def to_u8(raw: Raw, name: str) -> tuple[NDArray[np.uint8], Layout]:
    """Bring what a camera sent in the format `name` to 8 bits; what it is otherwise stays, and is said.

    Deeper pixels are scaled by their own depth, as 16-bit picture files are. Raises ValueError for another format, and
    where there is no pixel.
    """
    found = KNOWN.match(name)
    if found is None or raw.ndim == 1:
        raise ValueError(f"pixel format {name} is not known")
    if not raw.size:
        raise ValueError("it has no pixels")
    pixels = scaled_to_u8(raw, int(found["depth"] or 16)) if raw.dtype == np.uint16 else cast("NDArray[np.uint8]", raw)
    return pixels, cast("Layout", found["mosaic"] or ("RGB" if raw.ndim == 3 else "BGR"))


def laid_out(payload: bytes, name: str, height: int, width: int) -> NDArray[np.uint8]:
    """Give pixels of a format of `CHANNELS`, without lines' padding, as an array of the same memory.

    Raises ValueError where there are too few.
    """
    channels = CHANNELS[name]
    if height * width * channels > len(payload):
        raise ValueError(f"{len(payload)} bytes for {width} x {height} pixels")
    pixels = np.frombuffer(payload, np.uint8, height * width * channels).reshape(height, width, channels)
    return pixels if channels > 1 else pixels[:, :, 0]
