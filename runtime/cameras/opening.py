"""Sources: how the camera that is configured is opened. Live ones by OpenCV, with FFMPEG or Video4Linux."""

import math
import os
import socket
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from runtime.cameras.camera import Camera
from runtime.cameras.files import FolderCamera, VideoCamera
from runtime.cameras.live import Capture, LiveCamera
from runtime.cameras.settings import CameraSettings, FolderSettings, V4l2Settings, VideoSettings, WatchSettings
from runtime.cameras.watched_folder import WatchedFolder

PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
V4L2_TIMEOUT = "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT"


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
            return LiveCamera(name, settings, _v4l2(settings), _stream_s)
        case _:
            connect = partial(_open_url, settings.address(), settings.timeout_s)
            # RTSP carries the camera's own clock, Video4Linux the driver's; motion JPEG over HTTP has none.
            return LiveCamera(name, settings, connect, _stream_s if settings.kind == "rtsp" else None)


def _open_url(url: str, timeout_s: float) -> Capture | None:
    """Open with FFMPEG, RTSP over TCP. Its time-outs have no effect unless they are given at opening.

    Raises OSError where nobody is there: OpenCV opens one stream at a time, and a dead camera would hold up the others.
    """
    import cv2

    address = urlsplit(url)
    socket.create_connection((address.hostname, address.port or PORTS[address.scheme]), timeout_s).close()
    timeout_ms = round(timeout_s * 1000)
    options = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, timeout_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, timeout_ms]
    capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, options)
    return capture if capture.isOpened() else None


def _v4l2(settings: V4l2Settings) -> Callable[[], Capture | None]:
    import cv2

    # OpenCV refuses to open a device with time-outs as options; it looks here, once for all devices, in whole seconds.
    longest_s = max(math.ceil(settings.timeout_s), int(os.environ.get(V4L2_TIMEOUT, "0")))
    os.environ[V4L2_TIMEOUT] = str(longest_s)
    options = []
    if settings.resolution is not None:
        options = [cv2.CAP_PROP_FRAME_WIDTH, settings.resolution[0], cv2.CAP_PROP_FRAME_HEIGHT, settings.resolution[1]]

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
