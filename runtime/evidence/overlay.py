"""The overlay: a part's picture with its error map, which shows a person why. Pure; no files, no clock."""

import cv2
import numpy as np
from numpy.typing import NDArray

from core.errors import DataError
from core.pictures.picture import as_bgr_u8
from core.pictures.tiles import FAILED_BGR, GRID_BGR, corners, over_thresholds
from core.thresholds import ratios
from runtime.evidence.part_picture import PartPicture
from runtime.parts.verdict import Verdict

LEAST_TILE_PX = 48
"""Sides of a tile below which nothing is written into it."""
HOT = 5.0
"""An error this many times its tile's threshold is drawn in full heat; a hotter picture sets its own scale."""
LONGEST_SIDE = 65_500
"""Pixels of a JPEG's side, as far as it can be written."""


def draw(pixels_bgr_u8: NDArray[np.uint8], shown: PartPicture) -> NDArray[np.uint8]:
    """Lay the error map over a picture (H, W, 3), or grey (H, W), of the part, with the tile grid, failed tiles framed.

    Returns (H, W, 3) uint8 in BGR, with the failed tiles' e / eps written in where there is room. Heat is the error
    over its tile's threshold: what is below 1 stays clear, so that a good part looks like itself.
    """
    frame = as_bgr_u8(pixels_bgr_u8)
    height, width = frame.shape[:2]
    # Errors are no grounds of a part that could not be judged, such as a black one.
    is_judged = shown.judgement.verdict != Verdict.NOT_DECIDABLE
    picture = _heated(frame, shown.error_map, shown) if is_judged and shown.error_map is not None else frame.copy()
    # Lines and figures are as bold on a large picture as on a small one.
    bold = max(1, min(height, width) // 320)
    for k in range(shown.grid**2):
        (top, left), (bottom, right) = corners(k, shown.grid, height, width)
        cv2.rectangle(picture, (left, top), (right - 1, bottom - 1), GRID_BGR, bold)
    for k, (ratio, verdict) in enumerate(zip(_tile_ratios(shown), shown.judgement.tile_verdicts, strict=False)):
        if is_judged and verdict == Verdict.NOT_OK:
            (top, left), (bottom, right) = corners(k, shown.grid, height, width)
            inner = (left + 2 * bold, top + 2 * bold), (right - 1 - 2 * bold, bottom - 1 - 2 * bold)
            cv2.rectangle(picture, *inner, FAILED_BGR, 3 * bold)
            if min(bottom - top, right - left) >= LEAST_TILE_PX:
                _write(picture, f"{times(ratio)}x", (left + 9 * bold, top + 24 * bold), bold)
    return picture


def times(ratio: float) -> str:
    """Write how many times its threshold an error is: what failed must not read as 1.0."""
    return f"{ratio:.2f}" if ratio < 1.1 else f"{ratio:.1f}"


def jpeg(picture_bgr_u8: NDArray[np.uint8], quality: int = 92) -> bytes:
    """Encode a picture (H, W, 3) in BGR, or grey (H, W). Raises DataError where it is longer than a JPEG may be."""
    height, width = picture_bgr_u8.shape[:2]
    if max(height, width) > LONGEST_SIDE:
        raise DataError(f"a JPEG has sides of {LONGEST_SIDE} pixels at most, and the picture has {width} x {height}")
    _done, encoded = cv2.imencode(".jpg", picture_bgr_u8, (cv2.IMWRITE_JPEG_QUALITY, quality))
    return encoded.tobytes()


def _tile_ratios(shown: PartPicture) -> NDArray[np.float64]:
    """Give e_k / eps_k of every tile (K,); none where there are no errors."""
    if shown.judgement.errors is None:
        return np.zeros(0)
    return ratios(np.asarray(shown.judgement.errors, np.float32), shown.thresholds)[1:]


def _heated(frame: NDArray[np.uint8], error_map: NDArray[np.float32], shown: PartPicture) -> NDArray[np.uint8]:
    share = over_thresholds(error_map, shown.thresholds, shown.grid)
    heat = np.clip((share - 1) / (max(HOT, float(share.max())) - 1), 0, 1)
    picture = frame.copy()
    rows, cols = np.flatnonzero(heat.any(axis=1)), np.flatnonzero(heat.any(axis=0))
    if not len(rows):
        return picture
    # Most of a picture is clear: it is coloured only where there is heat, and one place of the map around that.
    (top, bottom), (left, right) = (
        (max(0, (hot[0] - 1) * side // places), min(side, -(-(hot[-1] + 2) * side // places)))
        for hot, side, places in zip((rows, cols), frame.shape, heat.shape, strict=False)
    )
    hot = cv2.resize(heat, (frame.shape[1], frame.shape[0]), interpolation=cv2.INTER_LINEAR)[top:bottom, left:right]
    colour = cv2.applyColorMap((hot * 255).astype(np.uint8), cv2.COLORMAP_AUTUMN)
    opacity = np.sqrt(hot) * np.float32(0.8)
    picture[top:bottom, left:right] = cv2.blendLinear(picture[top:bottom, left:right], colour, 1 - opacity, opacity)
    return picture


def _write(picture: NDArray[np.uint8], text: str, place: tuple[int, int], bold: int) -> None:
    """Write in white, with a black line around it: a bolder text below would be wider, and read as other figures."""
    around = [(right, down) for right in (-bold, 0, bold) for down in (-bold, 0, bold)]
    for colour, shifts in (((0, 0, 0), around), ((255, 255, 255), [(0, 0)])):
        for right, down in shifts:
            at = place[0] + right, place[1] + down
            cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.6 * bold, colour, bold, cv2.LINE_AA)
