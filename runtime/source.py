"""Sources: how the camera that is configured is opened. Live ones by OpenCV, with FFMPEG or Video4Linux."""

from collections.abc import Callable
from functools import partial
from typing import Any

from runtime.camera import Camera, FolderCamera, VideoCamera
from runtime.camera_settings import CameraSettings, FolderSettings, V4l2Settings, VideoSettings, WatchSettings
from runtime.live import Capture, LiveCamera
from runtime.watch import WatchedFolder


def open_camera(name: str, settings: CameraSettings) -> Camera:
    """Open the camera that `settings` describe; a live one is connected to later, and for ever.

    Raises CameraError where a file or folder cannot be opened, ConfigError where a URL's variable is not set.
    """
    match settings:
        case FolderSettings():
            return FolderCamera(settings.path)
        case WatchSettings():
            return WatchedFolder(settings.path, settings.move_to)
        case VideoSettings():
            return VideoCamera(settings.path, settings.judge_every)
        case V4l2Settings():
            return LiveCamera(name, settings, _v4l2(settings))
        case _:
            connect = partial(_open_url, settings.address(), settings.timeout_s)
            # A camera's RTSP stream carries the camera's own clock; motion JPEG over HTTP has none.
            return LiveCamera(name, settings, connect, _stream_s if settings.kind == "rtsp" else None)


def _open_url(url: str, timeout_s: float) -> Capture | None:
    """Open with FFMPEG, RTSP over TCP. Its time-outs have no effect unless they are given at opening."""
    import cv2

    timeout_ms = round(timeout_s * 1000)
    options = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, timeout_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, timeout_ms]
    capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, options)
    return capture if capture.isOpened() else None


def _v4l2(settings: V4l2Settings) -> Callable[[], Capture | None]:
    import cv2

    timeout_ms = round(settings.timeout_s * 1000)
    options = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, timeout_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, timeout_ms]
    if settings.resolution is not None:
        options += [cv2.CAP_PROP_FRAME_WIDTH, settings.resolution[0], cv2.CAP_PROP_FRAME_HEIGHT, settings.resolution[1]]

    def connect() -> Capture | None:
        if not settings.device.exists():
            return None
        capture = cv2.VideoCapture(str(settings.device), cv2.CAP_V4L2, options)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        return capture if capture.isOpened() else None

    return connect


def _stream_s(capture: Any) -> float:
    import cv2

    return float(capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000
