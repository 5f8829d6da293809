"""Cameras that are files: a folder of pictures, a video."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from core.errors import CameraError, DataError
from core.picture import list_pictures, read_picture
from runtime.cameras.camera import Camera
from runtime.parts.frame import Frame
from runtime.parts.verdict import Reason


class FolderCamera(Camera):
    """Every picture below a folder, once, in name order."""

    def __init__(self, path: Path) -> None:
        """List the pictures. Raises CameraError where there is no such folder or none in it."""
        try:
            self._pictures = list_pictures(path)
        except DataError as error:
            raise CameraError(str(error)) from error
        self._path = path
        self.frames_total: int | None = len(self._pictures)

    def frames(self, stopping: threading.Event) -> Iterator[Frame]:
        """See Camera. A picture that cannot be decoded whole comes as a frame without pixels."""
        for picture in self._pictures:
            if stopping.is_set():
                return
            yield read_frame(picture, self._path)


class VideoCamera(Camera):
    """Every `judge_every`-th frame of a video file, once."""

    def __init__(self, path: Path, judge_every: int = 1) -> None:
        """Open the file. Raises CameraError where it is missing or FFMPEG finds no picture in it."""
        import cv2

        if not path.is_file():
            raise CameraError(f"{path}: no such video file.")
        self._name = path.name
        self._capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        if not self._capture.isOpened() or not self._capture.grab():
            self._capture.release()
            raise CameraError(f"{path}: FFMPEG finds no video in it; check that it is whole and not encrypted.")
        self._judge_every = judge_every
        frames = max(1, round(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        self.frames_total: int | None = -(-frames // judge_every)

    def frames(self, stopping: threading.Event) -> Iterator[Frame]:
        """See Camera. The first frame was grabbed at opening."""
        number, grabbed = 0, True
        while grabbed and not stopping.is_set():
            captured_at_s, captured_s = time.time(), time.monotonic()
            decoded, pixels = self._capture.retrieve()
            source = f"{self._name}#{number}"
            if decoded:
                yield Frame(np.asarray(pixels, np.uint8), captured_at_s, captured_s, source)
            else:
                yield Frame(None, captured_at_s, captured_s, source, Reason.UNREADABLE)
            for _ in range(self._judge_every):
                number, grabbed = number + 1, grabbed and self._capture.grab()

    def close(self) -> None:
        """See Camera."""
        self._capture.release()


def read_frame(picture: Path, folder: Path) -> Frame:
    """Read a picture below `folder`. One that cannot be decoded whole gives a frame without pixels."""
    captured_at_s, captured_s = time.time(), time.monotonic()
    # A name that is not UTF-8 can be told of in no event: its odd bytes are written out.
    source = os.fsencode(picture.relative_to(folder)).decode("utf-8", "backslashreplace")
    try:
        pixels, fault = read_picture(picture), None
    except DataError:
        pixels, fault = None, Reason.UNREADABLE
    return Frame(pixels, captured_at_s, captured_s, source, fault)
