"""Opening: how the camera that is configured is opened.

Streams and devices of Video4Linux by FFMPEG, factory cameras by GenICam or their makers' drivers.
"""

import errno
import socket
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from runtime.cameras.camera import Camera
from runtime.cameras.factory.factory_camera import factory_camera
from runtime.cameras.files import FolderCamera, VideoCamera
from runtime.cameras.folders.watched_folder import WatchedFolder
from runtime.cameras.free_running import Capture, as_it_came, read_freely, time_s
from runtime.cameras.live import LiveCamera
from runtime.cameras.settings import (
    CameraSettings,
    FolderSettings,
    GenicamSettings,
    GentlSettings,
    HttpSettings,
    RtspSettings,
    V4l2Settings,
    VideoSettings,
    WatchSettings,
)
from runtime.cameras.trust import ffmpeg_options, require_certificates, require_trusted

PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
ENCRYPTED = {"rtsps", "https"}
OVER_TCP = {"rtsp_transport": "tcp"}
WITHOUT_PROXY = {"http_proxy": ""}
"""FFMPEG would ask a camera through the proxy that the environment names for the internet, and tell it the password."""
DEVICE_REMEDIES = {
    errno.EACCES: "let the station's user into the group `video`",
    errno.EBUSY: "end the other program that has it open",
}


def open_camera(name: str, settings: CameraSettings, kept: Sequence[Path] = ()) -> Camera:
    """Open the camera that `settings` describe; a live one is connected to later, and for ever.

    Pictures in the folders `kept` are the station's own, and never judged, whatever link to a folder leads there.
    Raises CameraError where a file or folder cannot be opened, ConfigError where a URL's variable is not set,
    `ca_file` holds no certificates or a package is missing.
    """
    match settings:
        case FolderSettings():
            return FolderCamera(settings.path, kept)
        case WatchSettings():
            return WatchedFolder(
                settings.path, settings.move_to, name, settings.unreadable_after_s, settings.part_id_pattern, kept
            )
        case VideoSettings():
            return VideoCamera(settings.path, settings.judge_every, settings.decoding)
        case V4l2Settings():
            read = partial(read_freely, stream_clock=time_s, frame_of=as_it_came)
            return LiveCamera(name, settings, partial(_open_device, name, settings), read)
        case GenicamSettings() | GentlSettings():
            return factory_camera(name, settings)
        case _:
            require_certificates(name, settings.ca_file)
            connect = partial(_open_url, name, settings, settings.address())
            # RTSP carries the camera's own clock, Video4Linux the driver's; motion JPEG over HTTP has none.
            clock = time_s if settings.kind == "rtsp" else None
            return LiveCamera(name, settings, connect, partial(read_freely, stream_clock=clock, frame_of=as_it_came))


def _open_url(name: str, settings: RtspSettings | HttpSettings, url: str) -> Capture:
    """Open with FFMPEG, RTSP over TCP. Raises OSError with the reason, which never holds the URL."""
    import av

    from runtime.cameras.streams.video_stream import VideoStream

    timeout_s, ca_file = settings.timeout_s, settings.ca_file
    try:
        address = urlsplit(url)
        # Without a host it would be this machine.
        host, port = address.hostname or "-", address.port or PORTS[address.scheme]
        # Where nobody is there, or somebody else, this says so better, and at once.
        with socket.create_connection((host, port), timeout_s) as connection:
            if address.scheme in ENCRYPTED:
                require_trusted(connection, host, ca_file)
    except ValueError:  # which tells what it found there: it may be a password
        raise OSError(errno.EINVAL, "its URL is no address; look at the variables in it") from None
    options = ffmpeg_options(ca_file) | (OVER_TCP if address.scheme.startswith("rtsp") else WITHOUT_PROXY)
    started_s = time.monotonic()
    try:
        return VideoStream(url, options, timeout_s, settings.decoding, name)
    except (av.ExitError, av.InvalidDataError):  # which RTSP raises where the time is up, too
        if time.monotonic() - started_s < timeout_s:
            raise OSError(errno.EINVAL, "what it sends is no video") from None
        raise OSError(errno.ETIMEDOUT, f"it gave no picture within {timeout_s:g} s") from None
    except av.FFmpegError as error:
        elsewhere = "; if it leads on to another address, write that into `url`" if error.errno == errno.EIO else ""
        raise OSError(error.errno, f"{error.strerror}{elsewhere}") from None


def _open_device(name: str, settings: V4l2Settings) -> Capture:
    """Open with FFMPEG. Raises OSError with the reason."""
    import av

    from runtime.cameras.streams.video_stream import VideoStream

    if not settings.device.exists():
        raise OSError(errno.ENOENT, f"there is no {settings.device}; what is there: ls /dev/video* /dev/v4l/by-id")
    options = {"video_size": "{}x{}".format(*settings.resolution)} if settings.resolution else {}
    try:
        return VideoStream(str(settings.device), options, settings.timeout_s, name=name, is_device=True)
    except av.FFmpegError as error:
        remedy = DEVICE_REMEDIES.get(error.errno or 0, "it gives no pictures; take another /dev/video of this camera")
        raise OSError(error.errno, f"{error.strerror}: {remedy}") from None
