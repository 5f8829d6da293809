"""The doctor's check of a camera: opened as the inspection would, and closed again."""

import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from itertools import islice, product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.errors import CameraError, DataError, shown
from core.files import no_new_folders
from core.pictures.geometry import ModelInput
from core.pictures.picture import Stored, as_bgr_u8, cut
from core.pictures.unlike import unlike, with_remedy
from runtime.cameras.factory.factory_camera import connection
from runtime.cameras.files import FolderCamera
from runtime.cameras.opening import open_camera
from runtime.cameras.settings import CameraSettings, GenicamSettings, GentlSettings, LiveCameraSettings, WatchSettings
from runtime.parts.layout import to_bgr
from runtime.parts.verdict import Reason

TRIAL_S = 1.0
"""How long a factory camera's packets are counted, and another's first frame is waited for when it is open."""
RECEIVE_BUFFER = Path("/proc/sys/net/core/rmem_max")
IP_MTU = 14
"""Linux' own, which Python's socket does not name."""
CONTROL_PORT = 3956
"""Of GigE Vision. Nothing is sent to it."""
LOOKED_AT = 10
"""Pictures of a folder."""
JUMBO_BYTES = 9000
"""What network cards and switches take beyond the usual 1500."""


def check_camera(
    name: str, settings: CameraSettings, kept: Sequence[Path] = (), seen: Sequence[ModelInput] = ()
) -> str:
    """Say what it gives, and whether in a shape or colour that one of the models, by what they have `seen`, lacks.

    Folders `kept` as in `open_camera`. Raises CameraError where it gives no frame, or too seldom, loses packets, a
    region lies outside all its frames, none is of `frame_size`, or judged ones cannot be moved away; ConfigError where
    a URL's variable is not set or a package is missing.
    """
    if isinstance(settings, GenicamSettings | GentlSettings):
        return _check_factory_camera(name, settings, seen)
    if isinstance(settings, WatchSettings):
        return _check_watched(name, settings, kept)
    if not isinstance(settings, LiveCameraSettings):
        return _check_files(name, settings, kept, seen)
    every_frame = {"trigger": None, "judge_every": 1, "stale_after_s": settings.timeout_s + TRIAL_S}
    with closing(open_camera(name, settings.model_copy(update=every_frame))) as camera:
        frames = camera.frames(threading.Event())
        first = next(frames).developed()
        second = next(frames) if first.pixels_u8 is not None else first
        status = camera.status()
    if first.fault == Reason.UNREADABLE:
        raise CameraError(f"camera {name}: what it gives is damaged, or of a kind of picture that is not read here.")
    pixels = first.pixels_bgr_u8
    if pixels is None:
        why = status.reason if status else "no reason is known"
        raise CameraError(
            f"camera {name}: no frame ({why}); where that names no remedy, check its power, cable, address and login."
        )
    if second.fault == Reason.NO_FRAME:
        raise CameraError(f"camera {name}: it gives one frame and then no other; look at what it sends, and how often.")
    apart_s = second.captured.s - first.captured.s
    if apart_s > settings.stale_after_s:
        raise CameraError(
            f"camera {name}: {apart_s:.1f} s lay between two frames, and after {settings.stale_after_s:g} s it counts "
            "as silent; raise `stale_after_s`, or let it send more often."
        )
    size, warnings = _looked_at(name, settings, [pixels], seen)
    return f"gives frames of {size}{warnings}"


def _check_files(name: str, settings: CameraSettings, kept: Sequence[Path], seen: Sequence[ModelInput]) -> str:
    """Read the first frame of a film, or some pictures of a folder, which may be of several sizes."""
    with closing(open_camera(name, settings, kept)) as camera:
        if isinstance(camera, FolderCamera):
            read = camera.some(LOOKED_AT)
        else:
            read = list(islice(camera.frames(threading.Event()), 1)) if camera.frames_total else []
    if camera.frames_total is None:
        return "opens"
    stored = [frame.stored_u16 if frame.pixels_u8 is None else frame.pixels_u8 for frame in read]
    frames = [pixels for pixels in stored if pixels is not None]
    lost = [frame.why for frame, pixels in zip(read, stored, strict=True) if pixels is None]
    why = next((f": {shown(why)}" for why in lost if why), "")
    unread = f"; warning: {len(lost)} of the {len(read)} cannot be read{why}" if lost else ""
    if not frames:
        return f"opens, {camera.frames_total} frames, {len(read)} looked at{unread}"
    size, warnings = _looked_at(name, settings, frames, seen)
    return f"opens, {camera.frames_total} frames, {len(read)} looked at, of {size}{unread}{warnings}"


def _check_watched(name: str, settings: WatchSettings, kept: Sequence[Path]) -> str:
    """Open it, and see that what was judged could be moved away; a new folder for that goes again."""
    with no_new_folders(settings.move_to or settings.path):
        open_camera(name, settings, kept).close()
        for folder in (settings.path, settings.move_to) if settings.move_to is not None else ():
            if not os.access(folder, os.W_OK | os.X_OK):
                raise CameraError(
                    f"camera {name}: nothing can be written in {folder}, so judged pictures could not be moved; check "
                    "its permissions and its mount, or leave `move_to` out."
                )
    return "opens"


def _check_factory_camera(name: str, settings: GenicamSettings | GentlSettings, seen: Sequence[ModelInput]) -> str:
    """Count what is lost while it runs freely, whatever triggers it on the line."""
    connect = connection(settings, is_trial=True)
    decoded, pixels = False, None
    try:
        stream = connect()
        try:
            until_s = time.monotonic() + TRIAL_S
            while stream.grab() and time.monotonic() < until_s:
                decoded, pixels = stream.retrieve()
            lost, total = stream.frames_lost
            mtu_bytes = mtu_bytes_to(stream.address) if stream.address else None
            told = [f"packets of {stream.packet_bytes} bytes"] if stream.packet_bytes else []
            told += [f"MTU {mtu_bytes}"] if mtu_bytes else []
            # In a container with a network of its own the kernel does not show it.
            if stream.address and RECEIVE_BUFFER.exists():
                told.append(f"net.core.rmem_max {RECEIVE_BUFFER.read_text().strip()}")
            packets = "".join(f", {each}" for each in told)
        finally:
            stream.release()
    except OSError as error:
        raise CameraError(f"camera {name}: {error}.") from error
    if lost or not decoded or pixels is None:
        jumbo = "" if mtu_bytes and mtu_bytes >= JUMBO_BYTES else f"set the network card's MTU to {JUMBO_BYTES}, "
        remedy = (
            f"raise net.core.rmem_max, {jumbo}or let the camera wait between packets (GevSCPD)"
            if stream.address
            else "let the camera send less (AcquisitionFrameRate), and look with its maker's software"
        )
        raise CameraError(
            f"camera {name}: {lost} of {total} frames did not come whole in {TRIAL_S:g} s{packets}; {remedy}."
        )
    size, warnings = _looked_at(name, settings, [to_bgr(pixels, stream.layout)], seen)
    return f"{stream.name}, gives frames of {size}{packets}, none of {total} lost{warnings}"


def mtu_bytes_to(address: str) -> int | None:
    """Ask how long packets may be on the way to a camera; None where the system does not tell."""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        way.connect((address, CONTROL_PORT))
        return way.getsockopt(socket.IPPROTO_IP, IP_MTU)
    return None


def _misfit(name: str, settings: CameraSettings, width: int, height: int, seen: Sequence[ModelInput]) -> str:
    """Say why frames of this size would not be judged; empty where they would."""
    if settings.frame_size not in (None, (width, height)):
        expected = " x ".join(map(str, settings.frame_size))
        return f"not {expected}, so none of these would be judged; correct `frame_size`, or the camera's own setting"
    for stream, roi in settings.streams(name).items():
        for whose, region in [(f"{stream}'s", roi)] if roi else [("the model's", each.roi) for each in seen]:
            if region is not None and (region[0] + region[2] > width or region[1] + region[3] > height):
                return f"and {whose} region {list(region)} does not lie within; correct `roi` or `regions`"
    return ""


def _looked_at(
    name: str, settings: CameraSettings, frames: Sequence[Stored], seen: Sequence[ModelInput]
) -> tuple[str, str]:
    """Give the sizes of frames in words, and what is to be warned of.

    Raises CameraError where a region, or a model's own, lies within none of them, or none is of `frame_size`.
    """
    sizes = dict.fromkeys(frame.shape[1::-1] for frame in frames)
    misfits = {f"{width} x {height} pixels": _misfit(name, settings, width, height, seen) for width, height in sizes}
    if all(misfits.values()):
        size, why = next(iter(misfits.items()))
        raise CameraError(f"camera {name}: its frames have {size}, {why}.")
    warnings = [f"some of its frames have {size}, {why}" for size, why in misfits.items() if why]
    others = Counter(words for frame in frames for words in _unlike(name, settings, frame, seen))
    for words, count in others.items():
        warnings.append(f"{'' if count == len(frames) else 'some '}pictures of {words}")
    sizes_told = " and ".join(size.removesuffix(" pixels") for size in misfits)
    return f"{sizes_told} pixels", "".join(f"; warning: {each}" for each in warnings)


def _unlike(name: str, settings: CameraSettings, frame: Stored, seen: Sequence[ModelInput]) -> dict[str, None]:
    """Say which streams come in a shape or colour that a model does not know, and how."""
    found: dict[str, None] = {}
    for (stream, roi), each in product(settings.streams(name).items(), seen):
        own = each.within(roi)
        for way, other in unlike(own, frame, _judged(frame, own)).items():
            if other:
                found[f"{stream} {with_remedy(way, other)}"] = None
    return found


def _judged(frame: Stored, seen: ModelInput) -> NDArray[np.uint8]:
    """Give the region of a frame that is judged, in 8 bits; black where there is none, or it has more bits."""
    try:
        return cut(as_bgr_u8(frame, seen.bits), seen.roi, None)
    except DataError:
        return np.zeros((1, 1, 3), np.uint8)
