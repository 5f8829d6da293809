"""Pictures as every room sees them: how a file is read, and the one crop, turn and resize to the model's input."""

import hashlib
import math
import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from core.errors import DataError
from core.files import PIECE_BYTES, without_waiting
from core.pictures.geometry import Pose, Roi
from core.pictures.picture_file import LARGEST_BYTES, decode
from core.pictures.picture_header import PictureFault
from core.pictures.pose import cut_out, locate
from core.pictures.shrinking import shrink

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".tif", ".tiff", ".webp"})
NOT_READ = frozenset(
    {".gif", ".apng", ".heic", ".heif", ".avif", ".jp2", ".j2k", ".jpx", ".jxl", ".jxr", ".pgm", ".ppm", ".pnm", ".pbm"}
    | {".pam", ".pfm", ".hdr", ".exr", ".dng", ".psd", ".tga"}
)
"""Of pictures too, listed so that each is refused by name: passed over in silence, a part would be seen by nobody."""
UNDER_WAY = frozenset({".tmp", ".temp", ".part", ".partial", ".filepart"})
"""Before the suffix: `part.tmp.png` is a copy that is not there yet."""
NO_PICTURES = f"no pictures in it (looked for {', '.join(sorted(SUFFIXES))})"
NO_MEMORY = "larger than the memory that is free"
Stored = NDArray[np.uint8] | NDArray[np.uint16]
"""What a file holds: (H, W) or (H, W, channels)."""
HIDDEN = (".", "~")
"""How names begin that are passed over."""
FOREIGN = frozenset(
    {"@eadir", "@recycle", "#recycle", "#snapshot", "$recycle.bin", "system volume information", "__macosx"}
    | {"lost+found"}
)
"""Folders of other systems: their thumbnails and what was thrown away."""


def list_pictures(folder: Path) -> list[Path]:
    """List the pictures below `folder` in name order.

    Raises DataError where there is no folder, or no picture in it, and as `find_pictures`.
    """
    if not folder.is_dir():
        seen_from = "" if folder.is_absolute() else f" below {Path.cwd()}"
        what = "is a file" if folder.is_file() else f"no such folder{seen_from}"
        raise DataError(f"{folder}: {what}; give a folder of pictures.")
    pictures = list(find_pictures(folder))
    if not pictures:
        raise DataError(f"{folder}: {NO_PICTURES}; put some there, or give another folder.")
    return pictures


def find_pictures(folder: Path, above: frozenset[tuple[int, int]] = frozenset()) -> Iterator[Path]:
    """Give what is called like a picture below `folder`, in name order; what vanishes meanwhile is passed over.

    Linked folders are looked through, except for those that are `above`, by device and inode. Raises DataError where a
    folder cannot be looked through, since nobody knows what is in it.
    """
    try:
        stat = folder.stat()
        entries = list_folder(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise DataError(f"{folder}: cannot be searched ({error.strerror}); check its permissions.") from error
    here = (stat.st_dev, stat.st_ino)
    if here in above:
        return
    for path, is_folder in entries:
        if is_folder:
            yield from find_pictures(path, above | {here})
        else:
            yield path


def list_folder(folder: Path, odd: list[Path] | None = None) -> list[tuple[Path, bool]]:
    """List what may be a picture in `folder` itself, and the folders in it (True), in name order. Raises OSError.

    Hidden names, copies under way and what other systems keep are passed over. Other files cost next to nothing. What
    is called like a picture and is neither file nor folder, such as a pipe, is listed too, and so is a link to nothing
    that may have been a folder: they are refused by name when they are read. Where `odd` is given, they go there.
    """
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if _is(entry.is_dir):
                if not name.startswith(HIDDEN) and name.lower() not in FOREIGN:
                    found.append((name, True))
            elif may_be_picture(name) or _may_have_been_folder(entry):
                if odd is None or _is(entry.is_file):
                    found.append((name, False))
                else:
                    odd.append(folder / name)
    return [(folder / name, is_folder) for name, is_folder in sorted(found)]


def _is(asked: Callable[[], bool]) -> bool:
    """Ask what an entry is; a link to itself, or into what may not be entered, is nothing."""
    try:
        return asked()
    except OSError:
        return False


def _may_have_been_folder(entry: os.DirEntry[str]) -> bool:
    """Say whether an entry is a link to nothing, called as a folder may be: a share that is not mounted."""
    return entry.is_symlink() and not entry.name.startswith(HIDDEN) and "." not in entry.name and not _is(entry.is_file)


def may_be_picture(name: str) -> bool:
    """Say whether a file of this name is listed: it is called like a picture, not hidden, and no copy under way."""
    if name.startswith(HIDDEN):
        return False
    stem, dot, suffix = name.lower().rpartition(".")
    return dot + suffix in SUFFIXES | NOT_READ and UNDER_WAY.isdisjoint(f".{part}" for part in stem.split(".")[1:])


def read_picture(path: Path, bits: int = 16) -> NDArray[np.uint8]:
    """Read a picture as `frame_bgr_u8` (H, W, 3) uint8 in OpenCV's order; `bits` as in `as_bgr_u8`.

    Raises DataError as `read_as_stored` and `as_bgr_u8` do.
    """
    return as_bgr_u8(read_as_stored(path), bits)


def read_as_stored(path: Path) -> Stored:
    """Read a picture with the channels and the depth of its file: (H, W) or (H, W, channels), uint8 or uint16.

    Upright, where the file's EXIF says how it lies. Raises DataError where the file cannot be decoded whole, is larger
    than what `core.pictures.picture_file` takes, or has other pixels.
    """
    return decode_as_stored(read_whole(path), path)


def read_whole(path: Path) -> bytes:
    """Read a file that may be a picture. Raises DataError where it is none, or larger than what is taken."""
    try:
        if not path.is_file():  # a pipe would be waited for
            there = os.path.lexists(path)
            raise DataError(f"{path}: {'no file, but a pipe, device or link to nothing' if there else 'no such file'}.")
        with open(path, "rb", opener=without_waiting) as file:
            size = os.fstat(file.fileno()).st_size
            data = b"" if size > LARGEST_BYTES else _content(file, max(size, PIECE_BYTES) + 1)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from error
    except MemoryError as error:
        raise DataError(f"{path}: {NO_MEMORY}.") from error
    if max(size, len(data)) > LARGEST_BYTES:
        raise DataError(f"{path}: larger than the {LARGEST_BYTES:,} bytes that are allowed.")
    return data


def _content(file: BinaryIO, piece_bytes: int) -> bytes:
    """Read what is in `file`, more than LARGEST_BYTES at most by a piece: as much memory is taken as is asked for."""
    pieces = iter(lambda: file.read(piece_bytes) or b"", b"")
    return b"".join(islice(pieces, LARGEST_BYTES // piece_bytes + 1))


def decode_as_stored(data: bytes, path: Path) -> Stored:
    """Decode what was read of `path`; as `read_as_stored`."""
    try:
        stored = decode(data)
    except PictureFault as fault:
        raise DataError(f"{path}: {fault}.") from fault
    except MemoryError as error:
        raise DataError(f"{path}: {NO_MEMORY}.") from error
    if stored.dtype not in {np.dtype(np.uint8), np.dtype(np.uint16)}:
        raise DataError(f"{path}: {stored.dtype} pixels are not supported; save it with 8 or 16 bits a channel.")
    return cast("Stored", stored)


def as_bgr_u8(stored: Stored, bits: int = 16) -> NDArray[np.uint8]:
    """Bring what a file holds to (H, W, 3) uint8: grey is repeated, alpha, which is opaque everywhere, is dropped.

    16 bits a channel are scaled from `bits` of them, so that 2**bits - 1 is white; files of 8 bits are as they are.
    Raises DataError where a value is larger than that.
    """
    frame = cast("NDArray[np.uint8]", stored)
    if stored.dtype == np.uint16:
        if (brightest := int(stored.max(initial=0))) >> bits:
            raise DataError(f"grey levels up to {brightest} take more than {bits} bits (`network.bits`).")
        frame = scaled_to_u8(stored, bits)
    if frame.ndim == 2 or frame.shape[2] == 1:
        return np.asarray(cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR), np.uint8)
    return np.ascontiguousarray(frame[:, :, :3], np.uint8)


def pixel_digest(stored: NDArray[np.uint8] | NDArray[np.uint16]) -> str:
    """Digest of pixels as they are stored: equal where two pictures are the same to the last bit."""
    return hashlib.sha256(f"{stored.dtype}{stored.shape}".encode() + stored.tobytes()).hexdigest()


def scaled_to_u8(deep: Stored, bits: int) -> NDArray[np.uint8]:
    """Give v * 255 // largest of values v of `bits` bits; what is above the depth's largest is the brightest."""
    largest = 2**bits - 1
    # OpenCV rounds: half a level less is the floor, but for the smallest step that there can be.
    smallest_step = math.gcd(255, largest) / largest
    return np.asarray(cv2.convertScaleAbs(deep, alpha=255 / largest, beta=(smallest_step - 1) / 2), np.uint8)


def usual_bits(brightest: int) -> int:
    """Say how many bits a camera has whose pictures are nowhere brighter: 8, 10, 12, 14 or 16."""
    return next(bits for bits in (8, 10, 12, 14, 16) if not brightest >> bits)


def crop(frame: NDArray[np.uint8], roi: Roi | None) -> NDArray[np.uint8]:
    """Give the region of a frame (H, W, ...), or all of it. Raises DataError where it does not lie within the frame."""
    if roi is None:
        return frame
    left, top, width, height = roi
    if min(left, top) < 0 or min(width, height) < 1 or left + width > frame.shape[1] or top + height > frame.shape[0]:
        raise DataError(
            f"region {roi} (left, top, width, height) does not lie within a frame of {frame.shape[1]} x "
            f"{frame.shape[0]} pixels."
        )
    return frame[top : top + height, left : left + width]


def cut(frame: NDArray[np.uint8], roi: Roi | None = None, pose: Pose | None = None) -> NDArray[np.uint8]:
    """Give what is judged of `frame` (H, W, 3), or grey (H, W), at the camera's own size: `roi`, which is a view of it.

    With `pose` the part is cut out of that, lying straight: (breadth, length, 3). Raises DataError where `roi`
    does not lie within the frame, PartNotFoundError where there is no part.
    """
    frame = crop(frame, roi)
    if pose is not None:
        frame = as_bgr_u8(frame)
        frame = cut_out(frame, locate(frame, pose), pose.size)
    return frame


def fit(
    frame: NDArray[np.uint8], out: NDArray[np.uint8], roi: Roi | None = None, pose: Pose | None = None
) -> NDArray[np.uint8]:
    """Cut `frame` as `cut` does, and resize it into `out` (h, w, 3) in place, by area averaging; returns the cut.

    The only preprocessing outside the model's graph. Raises as `cut`.
    """
    frame = cut(frame, roi, pose)
    if frame.ndim == 2:
        small = np.empty(out.shape[:2], np.uint8)
        shrink(frame, small)
        cv2.cvtColor(small, cv2.COLOR_GRAY2BGR, dst=out)
    elif frame.shape == out.shape:
        np.copyto(out, frame)
    else:
        shrink(frame, out)
    return frame
