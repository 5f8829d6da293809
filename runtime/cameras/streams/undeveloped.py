"""Undeveloped frames of a video stream: colours are worked out where it is judged, for a newer one may displace it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from core.pictures.picture import as_bgr_u8
from core.pictures.picture_file import decode
from core.pictures.picture_header import PictureFault
from runtime.cameras.streams.decoding import Colours

SCAN = b"\xff\xda"
"""Where the picture begins in a JPEG; a camera may write the time before it."""


class Decoded:
    """A frame as it came out of the decoder, mostly in YUV."""

    def __init__(self, frame: VideoFrame, colours: Colours) -> None:
        """`colours` are used by whoever looks, one at a time."""
        self._frame = frame
        self._colours = colours

    def rows(self) -> Sequence[NDArray[np.uint8]]:
        """See Undeveloped: those of each plane, of the decoder's own memory."""
        planes, layout = self._frame.planes, self._frame.format
        sample_bytes = -(-layout.components[0].bits // 8)
        found = []
        for number, plane in enumerate(planes):
            if len(planes) == 1:
                used = plane.width * layout.padded_bits_per_pixel // 8
            else:  # the last plane may hold two colours in turn
                is_shared = number == len(planes) - 1 and len(planes) < len(layout.components)
                used = plane.width * sample_bytes * (1 + is_shared)
            found.append(np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: plane.height, :used])
        return found

    def pixels_bgr_u8(self) -> NDArray[np.uint8]:
        """See Undeveloped."""
        pixels = self._colours.bgr_u8(self._frame)
        turns = round(self._frame.rotation / 90)
        upright = np.rot90(pixels, turns)
        return np.ascontiguousarray(np.flip(upright, turns % 2) if _is_mirrored(self._frame) else upright, np.uint8)


class Jpeg:
    """A picture of motion JPEG."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def rows(self) -> Sequence[NDArray[np.uint8]]:
        """See Undeveloped: the bytes of the picture."""
        return [np.frombuffer(self._content, np.uint8)[max(0, self._content.find(SCAN)) :]]

    def pixels_bgr_u8(self) -> NDArray[np.uint8] | None:
        """See Undeveloped."""
        try:
            return as_bgr_u8(decode(self._content))
        except PictureFault:
            return None


def _is_mirrored(frame: VideoFrame) -> bool:
    """Say whether a frame is to be shown as in a mirror, which its rotation leaves out."""
    beside: Any = frame.side_data
    matrix = beside.get(SideDataType.DISPLAYMATRIX)
    if matrix is None:
        return False
    across, down = np.frombuffer(bytes(matrix), np.int32).reshape(3, 3)[:2, :2].astype(float)
    return bool(across[0] * down[1] < across[1] * down[0])
