"""Pictures for a browser: at the camera's own size, or no wider than it asks for."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from fastapi import Request, Response
from fastapi.routing import APIRoute
from numpy.typing import NDArray

from core.errors import DataError
from runtime.evidence.overlay import jpeg

WIDEST_PX = 4096
AT_ONCE = 2
"""So many of a kind are worked out at a time. One of 5 megapixels takes 90 MB, of which its thread keeps a third; and
whoever judges needs the cores."""


class InTurn(APIRoute):
    """A route whose answers are pictures to be worked out: whoever waits holds no thread, which others need."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See fastapi.routing.APIRoute."""
        handle = super().get_route_handler()
        turns = asyncio.Semaphore(AT_ONCE)

        async def in_turn(request: Request) -> Response:
            async with turns:
                return await handle(request)

        return in_turn


def no_wider(pixels_bgr_u8: NDArray[np.uint8], width: int | None) -> NDArray[np.uint8]:
    """Shrink a picture (H, W, 3), or grey (H, W), to `width` pixels; None, or more than it has: it stays as it is."""
    if width is None or width >= pixels_bgr_u8.shape[1]:
        return pixels_bgr_u8
    height = max(1, round(pixels_bgr_u8.shape[0] * width / pixels_bgr_u8.shape[1]))
    return np.asarray(cv2.resize(pixels_bgr_u8, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def as_jpeg(pixels_bgr_u8: NDArray[np.uint8], headers: Mapping[str, str]) -> Response:
    """Answer with a picture (H, W, 3), or grey (H, W); 404 where no JPEG can hold it."""
    try:
        content = jpeg(pixels_bgr_u8)
    except DataError as error:
        return Response(f"{error}; ask for it by `width`\n", 404, headers, media_type="text/plain")
    return Response(content, 200, headers, media_type="image/jpeg")


def read_no_wider(file: Path, width: int) -> NDArray[np.uint8]:
    """Read a JPEG of ours no wider than `width`. Raises OSError where it is not there, or cannot be decoded."""
    content = np.frombuffer(file.read_bytes(), np.uint8)
    # JPEG can be decoded at an eighth of its size in an eighth of the time.
    for shrunk, flag in ((8, cv2.IMREAD_REDUCED_COLOR_8), (2, cv2.IMREAD_REDUCED_COLOR_2), (1, cv2.IMREAD_COLOR)):
        picture = cv2.imdecode(content, flag)
        if picture is None:
            raise OSError(f"{file}: no picture")
        if picture.shape[1] >= width or shrunk == 1:
            return no_wider(np.asarray(picture, np.uint8), width)
    raise AssertionError("the last is always taken")
