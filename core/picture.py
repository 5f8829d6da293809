"""Pictures as every room sees them: how a file is read, and the one crop, turn and resize to the model's input."""

from pathlib import Path
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from core.errors import DataError
from core.geometry import PartSize, Roi
from core.pose import cut_out, locate

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})


def list_pictures(folder: Path) -> list[Path]:
    """List the picture files below `folder` in name order. Raises DataError where there is no folder, or none in it."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give a folder of pictures.")
    pictures = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not pictures:
        raise DataError(f"{folder}: no pictures in it (looked for {', '.join(sorted(SUFFIXES))}).")
    return pictures


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Read a picture as `frame_bgr_u8` (H, W, 3) uint8 in OpenCV's order. Raises DataError as `read_as_stored` does."""
    return as_bgr_u8(read_as_stored(path))


def read_as_stored(path: Path) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Read a picture with the channels and the depth of its file: (H, W) or (H, W, channels), uint8 or uint16.

    Raises DataError where the file cannot be decoded whole: a truncated JPEG or PNG, which decoders fill with grey, is
    refused, and so are pixels that are neither.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from error
    stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if _is_whole(data) else None
    if stored is None:
        raise DataError(f"{path}: not a whole picture (empty, truncated or of an unknown format).")
    if stored.dtype not in {np.dtype(np.uint8), np.dtype(np.uint16)}:
        raise DataError(f"{path}: {stored.dtype} pixels are not supported; save it with 8 or 16 bits a channel.")
    return cast("NDArray[np.uint8] | NDArray[np.uint16]", stored)


def as_bgr_u8(stored: NDArray[np.uint8] | NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Bring what a file holds to (H, W, 3) uint8: grey is repeated, alpha is dropped.

    16 bits a channel are divided by 257 (their full range).
    """
    frame = (stored // 257).astype(np.uint8) if stored.dtype == np.uint16 else stored
    if frame.ndim == 2 or frame.shape[2] == 1:
        return np.asarray(cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR), np.uint8)
    return np.ascontiguousarray(frame[:, :, :3], np.uint8)


def fit(
    frame: NDArray[np.uint8], out: NDArray[np.uint8], roi: Roi | None = None, part_size: PartSize | None = None
) -> None:
    """Crop `frame` (H, W, 3) to `roi` and resize it into `out` (h, w, 3) in place, by area averaging.

    With `part_size` the part is cut out lying straight first. The only preprocessing outside the model's graph.
    Raises DataError where `roi` does not lie within the frame, PartNotFoundError where there is no part.
    """
    if roi is not None:
        left, top, width, height = roi
        if (
            min(left, top) < 0
            or min(width, height) < 1
            or left + width > frame.shape[1]
            or top + height > frame.shape[0]
        ):
            raise DataError(f"region {roi} does not lie within a frame of {frame.shape[1]} x {frame.shape[0]} pixels.")
        frame = frame[top : top + height, left : left + width]
    if part_size is not None:
        frame = cut_out(frame, locate(frame, part_size), part_size)
    if frame.shape == out.shape:
        np.copyto(out, frame)
    else:
        cv2.resize(frame, (out.shape[1], out.shape[0]), dst=out, interpolation=cv2.INTER_AREA)


def _is_whole(data: bytes) -> bool:
    """Whether a JPEG or PNG has its end mark; other formats are left to the decoder. Some cameras append a trailer."""
    if data.startswith(b"\xff\xd8"):
        return b"\xff\xd9" in data[-4096:]
    if data.startswith(b"\x89PNG"):
        return b"IEND" in data[-4096:]
    return bool(data)
