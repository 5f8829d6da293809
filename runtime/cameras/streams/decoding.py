"""Decoding: films and streams by hardware where that was asked for and is there, else by software, and said in the log.

Hardware shows what is damaged within a picture as whole: it says less of a stream than software does.
"""

from __future__ import annotations

import logging

import cv2
import numpy as np
from av.codec import Codec
from av.codec.hwaccel import HWAccel, hwdevices_available
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, VideoReformatter
from numpy.typing import NDArray

from runtime.cameras.settings import Decoding

log = logging.getLogger(__name__)
TELL_DAMAGE = frozenset({"h264", "hevc", "mpeg4", "mpeg2video", "mjpeg", "png"})
"""Codecs of which a frame that lost data almost never comes out of FFMPEG as if it were whole."""
HARDWARES_OWN = ("nv12", "p010", "p012", "p016", "p210", "p216")
"""What pictures that hardware decoded are laid out as; software never gives these."""

IN_TURN = {"yuyv422": cv2.COLOR_YUV2BGR_YUYV, "uyvy422": cv2.COLOR_YUV2BGR_UYVY}
"""Layouts of brightness and colour in turn, as USB cameras send: for their colours FFMPEG takes four times as long."""


def hardware(decoding: Decoding, name: str) -> HWAccel | None:
    """Give what decodes for camera `name`; None is software, which the log is told where hardware was asked for."""
    why_not = obstacle(decoding)
    if why_not:
        tell_software(name, decoding, why_not)
    return None if decoding == "software" or why_not else HWAccel(decoding, allow_software_fallback=True)


def obstacle(decoding: Decoding) -> str:
    """Say why this machine does not decode by this hardware; empty where it does, and of software."""
    if decoding == "software":
        return ""
    if decoding not in (known := hwdevices_available()):
        return f"the FFMPEG that PyAV came with knows {', '.join(known) or 'no hardware'}; build PyAV with another"
    try:
        HWAccel(decoding).create(Codec("h264", "r"))
    except (OSError, NotImplementedError) as error:
        return f"it cannot be opened ({getattr(error, 'strerror', None) or error}); look at its driver"
    return ""


def tell_decoder(name: str, decoding: Decoding, first: VideoFrame | None) -> None:
    """Say in the log who decodes, by the `first` frame that FFMPEG decodes; None: it does not decode."""
    if first is not None and first.format.name.startswith(HARDWARES_OWN):
        log.info("decoded by hardware camera=%s decoding=%s", name, decoding)
    else:
        tell_software(name, decoding, "the hardware does not decode this kind of video")


def tell_software(name: str, decoding: Decoding, reason: str) -> None:
    """Say in the log that hardware was asked for and software decodes."""
    log.warning("decoded by software camera=%s decoding=%s reason=%r", name, decoding, reason)


def tell_codec(name: str, codec: str) -> None:
    """Say in the log where nothing will tell what is damaged within the frames of camera `name`."""
    if codec not in TELL_DAMAGE:
        told = "what is damaged within a frame is judged as if it were whole camera=%s codec=%s remedy=%r"
        log.warning(told, name, codec, f"record in one of {', '.join(sorted(TELL_DAMAGE))}")


class Colours:
    """Makes BGR of decoded pictures, the same whoever decoded them. One thread at a time may ask."""

    def __init__(self) -> None:
        self._to_planes, self._to_bgr = VideoReformatter(), VideoReformatter()

    def bgr_u8(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """Give the pixels (H, W, 3)."""
        in_turn = IN_TURN.get(frame.format.name)
        if in_turn is not None and frame.color_range != ColorRange.JPEG:
            plane = frame.planes[0]
            rows = np.frombuffer(memoryview(plane), np.uint8).reshape(frame.height, plane.line_size)
            pairs = rows[:, : 2 * frame.width].reshape(frame.height, frame.width, 2)
            return np.asarray(cv2.cvtColor(pairs, in_turn), np.uint8)
        if frame.format.name == "nv12":  # FFMPEG makes colours of it that are up to 40 levels off those of planes apart
            frame = self._to_planes.reformat(frame, format="yuv420p")
        return np.asarray(self._to_bgr.reformat(frame, format="bgr24").to_ndarray(), np.uint8)
