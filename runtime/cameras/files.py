"""Cameras that are files: a folder of pictures, a video."""

import logging
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from core.datasets.dataset import spread
from core.errors import CameraError, DataError
from core.files import lies_in
from core.pictures.picture import Stored, as_bgr_u8, list_pictures, read_as_stored
from runtime.cameras.camera import Camera
from runtime.cameras.settings import Decoding
from runtime.parts.frame import Frame
from runtime.parts.moment import Moment
from runtime.parts.verdict import Reason

log = logging.getLogger(__name__)
KEPT = "is what this station keeps, and never judged; remove the link to it"


class FolderCamera(Camera):
    """Every picture below a folder, once, in name order."""

    def __init__(self, path: Path, kept: Sequence[Path] = ()) -> None:
        """List the pictures. Raises CameraError where there is no such folder, none in it, or some that are `kept`."""
        try:
            self._pictures = list_pictures(path)
        except DataError as error:
            raise CameraError(str(error)) from error
        own = reached_by_links(path, kept)
        for folder in dict.fromkeys(picture.parent for picture in self._pictures):
            if any(lies_in(folder, each) for each in own):
                raise CameraError(f"{folder}: {KEPT}.")
        self._path = path
        self.frames_total: int | None = len(self._pictures)

    def some(self, count: int) -> list[Frame]:
        """Read up to `count` pictures, spread over the folder."""
        return [read_frame(picture, self._path) for picture in spread(self._pictures, count)]

    def frames(self, stopping: threading.Event) -> Iterator[Frame]:
        """See Camera. A picture that cannot be decoded whole comes as a frame without pixels."""
        for picture in self._pictures:
            if stopping.is_set():
                return
            yield read_frame(picture, self._path)


class VideoCamera(Camera):
    """Every `judge_every`-th frame of a video file, once."""

    def __init__(self, path: Path, judge_every: int = 1, decoding: Decoding = "software") -> None:
        """Open the file. Raises CameraError where it is missing or FFMPEG finds no picture in it."""
        import av

        from runtime.cameras.streams.video_stream import VideoStream

        if not path.is_file():
            raise CameraError(f"{path}: no such video file.")
        self._path = path
        self._as_opened = _written(path)
        self._name = printable(Path(path.name))
        self._judge_every = judge_every
        try:
            # A name with a colon would be a protocol's.
            self._stream = VideoStream(f"file:{path}", decoding=decoding, name=self._name)
        except av.FFmpegError as error:
            raise CameraError(f"{path}: FFMPEG finds no video in it; check that it is whole, not encrypted.") from error
        if not self._stream.grab():
            self._stream.release()
            raise CameraError(f"{path}: FFMPEG finds no video in it; check that it is whole, not encrypted.")
        self.frames_total: int | None = -(-max(1, self._stream.frames_total) // judge_every)

    def frames(self, stopping: threading.Event) -> Iterator[Frame]:
        """See Camera. The first frame was grabbed at opening. A film that ends before its time is told in the log."""
        number, grabbed = 0, True
        while grabbed and not stopping.is_set():
            captured = Moment.now()
            decoded, pixels = self._stream.retrieve()
            fault = None if decoded else Reason.UNREADABLE
            yield Frame(pixels, captured, f"{self._name}#{number}", fault)
            for _ in range(self._judge_every):
                grabbed = grabbed and self._stream.grab()
                number += grabbed
        count = number + 1
        if not grabbed and self._stream.ended_early(count):
            expected = self._stream.frames_total
            log.warning("film is cut or damaged: %d of %d frames are in it file=%s", count, expected, self._name)
        if _written(self._path) not in (None, self._as_opened):
            told = "film was written to while it was read: frames may be missing file=%s remedy=%r"
            log.warning(told, self._name, "begin when it has been copied")

    def close(self) -> None:
        """See Camera."""
        self._stream.release()


def _written(file: Path) -> tuple[int, int] | None:
    """Size and time of the last change; None where it is gone."""
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns


def read_frame(picture: Path, folder: Path) -> Frame:
    """Read a picture below `folder`. One that cannot be decoded whole gives a frame without pixels."""
    captured = Moment.now()
    source = printable(picture.relative_to(folder))
    try:
        pixels, deep = by_depth(read_as_stored(picture))
    except DataError as error:
        return Frame(None, captured, source, Reason.UNREADABLE, str(error))
    return Frame(pixels, captured, source, stored_u16=deep)


def by_depth(stored: Stored) -> tuple[NDArray[np.uint8] | None, NDArray[np.uint16] | None]:
    """Give a file of 8 bits in BGR, or one of 16 as it is: how many of them count is the model's to say."""
    if stored.dtype == np.uint16:
        return None, cast("NDArray[np.uint16]", stored)
    return as_bgr_u8(stored), None


def reached_by_links(path: Path, kept: Iterable[Path]) -> list[Path]:
    """Give of the folders `kept` those that only a link can lead to from `path`."""
    return [own for own in kept if not lies_in(path, own)]


def printable(path: Path) -> str:
    """Give a name that an event can carry: of one that is not UTF-8, the odd bytes are written out."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
