"""Pixel formats of GenICam cameras, by EMVA's PFNC names: what a camera sends becomes 8 bits. Pure."""

import re
from typing import cast

import numpy as np
from numpy.typing import NDArray

from core.picture import scaled_to_u8
from runtime.parts.layout import Layout

Raw = NDArray[np.uint8] | NDArray[np.uint16]
"""(H, W) of a mono camera or a colour mosaic, or (H, W, 3) in RGB; deeper than 8 bits in the camera's own values."""
KNOWN = re.compile(r"(?P<family>Mono|Bayer|RGB|BGR|YUV|YCbCr)(?P<mosaic>RG|GB|GR|BG)?(?P<depth>\d+)?")


def is_known(name: str) -> bool:
    """Say whether pictures of the format `name` can be judged."""
    return KNOWN.match(name) is not None


def to_u8(raw: Raw, name: str) -> tuple[NDArray[np.uint8], Layout]:
    """Bring what a camera sent in the format `name` to 8 bits; what it is otherwise stays, and is said.

    Deeper pixels are scaled by their own depth, as 16-bit picture files are. Raises ValueError for another format.
    """
    found = KNOWN.match(name)
    if found is None or raw.ndim == 1:
        raise ValueError(f"pixel format {name} is not known")
    pixels = scaled_to_u8(raw, int(found["depth"] or 16)) if raw.dtype == np.uint16 else cast("NDArray[np.uint8]", raw)
    return pixels, cast("Layout", found["mosaic"] or ("RGB" if raw.ndim == 3 else "BGR"))
