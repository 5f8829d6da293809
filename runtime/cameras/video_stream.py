"""A video stream, of a file or from a network, read so that damage is told.

FFMPEG shows the part before where data of a frame were lost, and goes on from there. Such frames, and all up to the
next key frame, are unreadable. Motion JPEG goes through the decoder of pictures, which fills up nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import av
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from core.picture import as_bgr_u8
from core.picture_file import LARGEST_PIXELS, PictureFault, decode


class VideoStream:
    """Reads frames in turn: `grab` waits for one, `retrieve` gives its pixels. It belongs to one thread."""

    def __init__(self, url: str, options: dict[str, str] | None = None, timeout_s: float | None = None) -> None:
        """Open the first video stream of `url`; no read takes longer than `timeout_s`.

        Raises av.FFmpegError where there is none, or nothing comes in time.
        """
        self._container = av.open(url, options=options or {}, timeout=timeout_s)
        if not self._container.streams.video:
            self._container.close()
            raise av.InvalidDataError(0, "there is no video in it")
        self._stream = self._container.streams.video[0]
        self._is_live = timeout_s is not None
        self._is_counted = self._container.format.name != "avi"
        """Whether the times of its packets are those of its frames; AVI guesses them."""
        self._is_jpeg = self._stream.codec_context.name == "mjpeg"
        self._frames = self._read()
        self._frame: VideoFrame | Packet[Any] | None = None
        self._reformatter = VideoReformatter()
        self._has_begun = False
        """Whether there was a key frame: what stands before it builds on what was not seen."""
        self._awaited: set[int] = set()
        """When the frames are to be shown that were handed to the decoder (in the stream's time)."""
        self._lost: set[int] = set()
        self._shown: int | float = float("-inf")
        self._is_broken = False
        """Whether frames build on a damaged one."""
        self._keys: set[int] = set()
        """When the key frames are to be shown that were handed over, and are not damaged."""

    @property
    def frames_total(self) -> tuple[int, int]:
        """How many frames it says it has, and how many of them that may be out; 0 where it does not say."""
        if self._stream.frames:
            return self._stream.frames, 0
        duration_s = (self._container.duration or 0) / av.time_base
        rate = float(self._stream.average_rate or 0)
        return round(duration_s * rate), 1 + round(rate)

    @property
    def time_s(self) -> float:
        """The stream's own time of what was grabbed; 0 where it tells none."""
        frame = self._frame
        if frame is None or frame.pts is None or frame.time_base is None:
            return 0.0
        return float(frame.pts * frame.time_base)

    def grab(self) -> bool:
        """Wait for a frame; False where the stream is over or has timed out."""
        try:
            self._frame = next(self._frames)
        except (StopIteration, av.FFmpegError):
            return False
        return True

    def retrieve(self) -> tuple[bool, NDArray[np.uint8] | None]:
        """Give the pixels (H, W, 3) of what was grabbed; False and None where it is damaged."""
        frame = self._frame
        if isinstance(frame, VideoFrame) and frame.width * frame.height <= LARGEST_PIXELS:
            return True, self._pixels(frame)
        if isinstance(frame, Packet):
            try:
                return True, as_bgr_u8(decode(bytes(frame)))
            except PictureFault:
                pass
        return False, None

    def release(self) -> None:
        """Let the stream go."""
        self._container.close()

    def _read(self) -> Iterator[VideoFrame | Packet[Any] | None]:
        """Give frames that are whole, packets of motion JPEG, and None for what is damaged or lost."""
        for packet in self._container.demux(self._stream):
            if not packet.size and (self._is_jpeg or self._is_live):
                return  # what a live stream's decoder still holds came too late
            if self._is_jpeg:
                yield packet
            else:
                yield from self._decode(packet)
        yield from [None] * len(self._awaited)

    def _decode(self, packet: Packet[Any]) -> Iterator[VideoFrame | None]:
        if packet.size and packet.pts is not None and not packet.is_discard:
            self._expect(packet.pts, packet.is_keyframe)
        frames: list[Any] = []
        try:
            frames = packet.decode()
        except av.FFmpegError:
            self._break(packet.pts)
            if self._has_begun and packet.pts not in self._awaited:
                yield None
        if packet.is_corrupt:
            self._break(packet.pts)
        for frame in frames:
            if frame.pts in self._lost:  # it comes after all, and was told of
                continue
            yield from self._lost_before(frame)
            if frame.is_corrupt:
                self._break(frame.pts)
            elif frame.key_frame:
                self._has_begun = True
                self._is_broken &= frame.pts is not None and frame.pts not in self._keys
            if self._has_begun:
                yield None if self._is_broken else frame

    def _expect(self, pts: int, is_key: bool) -> None:
        if self._is_counted and pts > self._shown:
            self._awaited.add(pts)
        if is_key:
            self._keys = {key for key in self._keys if key > self._shown} | {pts}

    def _lost_before(self, frame: VideoFrame) -> list[None]:
        """Give None for each frame that should have been shown before this one; those behind may build on it."""
        if frame.pts is None or not self._is_counted:
            return []
        lost = [pts for pts in self._awaited if pts < frame.pts] if self._has_begun else []
        self._shown, self._awaited = frame.pts, {pts for pts in self._awaited if pts > frame.pts}
        self._lost = set(lost) | (set() if frame.key_frame else self._lost)
        if lost:
            self._break(max(lost))
        return [None] * len(lost)

    def _break(self, pts: int | None) -> None:
        """Take nothing more until a key frame that is shown later than the damaged one at `pts`."""
        self._is_broken = True
        self._keys = {key for key in self._keys if pts is not None and key > pts}

    def _pixels(self, frame: VideoFrame) -> NDArray[np.uint8]:
        pixels = self._reformatter.reformat(frame, format="bgr24").to_ndarray()
        return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)), np.uint8)
