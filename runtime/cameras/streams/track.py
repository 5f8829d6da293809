"""A track: the packets of one stream of several, as a camera sends sound or metadata beside its pictures."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # whoever reads no stream does without FFMPEG
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream


class StreamError(Exception):
    """Why a live stream cannot be read on, in words that hold no address."""


def live_track(container: InputContainer, stream: VideoStream, timeout_s: float) -> Iterator[Packet[Any]]:
    """Give the packets of `stream`; it ends where none comes for `timeout_s`, whatever else does.

    FFMPEG's own time-out begins again with each packet, of any stream.
    """
    heard_s = time.monotonic()
    for packet in container.demux():
        if packet.stream.index == stream.index:
            yield packet
            heard_s = time.monotonic()
        elif time.monotonic() - heard_s > timeout_s:
            return
