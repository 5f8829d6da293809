"""Cameras: where frames come from. A camera belongs to the one thread that iterates over it."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.errors import CameraError, DataError
from core.picture import list_pictures, read_picture
from runtime.verdict import Reason


@dataclass(frozen=True)
class Trigger:
    """What the MES said of a part that stands before the camera."""

    part_id: str
    job_id: str | None
    recipe: str | None
    id: str | None
    at_s: float
    """Unix time at which the frame was to be taken."""
    target_s: float
    """The same moment on the monotonic clock."""


@dataclass(frozen=True)
class Frame:
    """One frame as the camera gave it."""

    pixels_bgr_u8: NDArray[np.uint8] | None
    """(H, W, 3) at the camera's resolution; None where `fault` says why there are no pixels."""
    captured_at_s: float
    """Unix time: of a live camera, when the frame arrived; of a file, when it was read."""
    captured_s: float
    """The same moment on the monotonic clock."""
    source: str | None = None
    """File name, where the frame came from a file."""
    fault: Reason | None = None
    trigger: Trigger | None = None


class CameraState(StrEnum):
    """How it stands with a camera."""

    STREAMING = "streaming"
    STALLED = "stalled"
    """Connected, but it gives nothing new."""
    RECONNECTING = "reconnecting"
    STOPPED = "stopped"


@dataclass(frozen=True)
class CameraStatus:
    """A camera's state, since when (Unix time), and why."""

    state: CameraState
    since_at_s: float
    reason: str = ""
    last_frame_at_s: float | None = None
    reconnects: int = 0
    dropped: int = 0
    """Frames that were wanted and gave way to a newer one."""
    triggers_refused: int = 0
    """Messages on the camera's trigger topic that were malformed."""


class Camera:
    """A source of frames. What a live camera does beside giving them does nothing for a file."""

    frames_total: int | None
    """How many frames it will give, as far as is known; None for a camera that never ends."""

    def frames(self, stopping: threading.Event) -> Iterator[Frame]:
        """Give the frames, one after the other, until `stopping`. Never raises for a frame that cannot be read."""
        raise NotImplementedError

    def newer(self, frame: Frame) -> Frame:
        """Say what to judge in place of `frame`, which has waited for its turn."""
        return frame

    def judged(self, source: str) -> None:
        """All that was judged of the frame from the file `source` is on disk."""

    def status(self) -> CameraStatus | None:
        """How it stands with a live camera; None for a file."""
        return None

    def close(self) -> None:
        """Let the device or file go. Called by the thread that iterated; must not block."""


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
    source = picture.relative_to(folder).as_posix()
    try:
        pixels, fault = read_picture(picture), None
    except DataError:
        pixels, fault = None, Reason.UNREADABLE
    return Frame(pixels, captured_at_s, captured_s, source, fault)
