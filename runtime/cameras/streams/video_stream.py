"""A video stream, of a file, a device or from a network, read so that damage is told.

FFMPEG shows the part before where data of a frame were lost, and goes on from there. Such frames, and all up to the
next key frame, are unreadable. Motion JPEG goes through the decoder of pictures, which fills up nothing.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.packet import Packet
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from core.pictures.ffmpeg import MOST_BYTES, bound_memory
from runtime.cameras.settings import Decoding
from runtime.cameras.streams.damage import Damage, Stream
from runtime.cameras.streams.decoding import TELL_DAMAGE, Colours, hardware, tell_codec, tell_decoder
from runtime.cameras.streams.device import ANY_LAYOUT, WITHOUT_LOOKING, awaited, copied
from runtime.cameras.streams.h264 import H264Frames
from runtime.cameras.streams.packet_order import have_times, in_order
from runtime.cameras.streams.parts import PARTS, Parts, with_good_heads
from runtime.cameras.streams.track import StreamError, live_track
from runtime.cameras.streams.undeveloped import Decoded, Jpeg
from runtime.cameras.streams.units import LENGTH_AT, Units
from runtime.parts.frame import Undeveloped

log = logging.getLogger(__name__)
LARGEST_PIXELS = MOST_BYTES // 4
"""8,192 x 8,192: in BGR it fits in."""
LOOK_AHEAD, LOOK_AHEAD_LIVE = 32, 8
"""Packets of a film by which it is told how it was written, and of what is live."""

FIRST_PICTURE_S = 60.0
"""What begins between two key frames shows nothing up to the next one: it is waited for at least as long."""
NO_VIDEO = (
    "it sends what is no video; of motion JPEG each part has to be of the type image/jpeg, and as long as it says"
)
NO_PICTURE = "what it sends shows no picture: it is of another codec, or has no key frame; let key frames come often"
NO_STREAM = "it gave pictures and ended; if `url` is the address of single pictures, write that of its stream"


class VideoStream:
    """Reads frames in turn: `grab` waits for one, `retrieve` gives its pixels. It belongs to one thread."""

    def __init__(
        self,
        url: str,
        options: dict[str, str] | None = None,
        timeout_s: float | None = None,
        decoding: Decoding = "software",
        name: str = "",
        is_device: bool = False,
    ) -> None:
        """Open the first video stream of `url`, called `name` in the log; no read takes longer than `timeout_s`.

        Of a device of Video4Linux `url` is its path.

        Raises av.FFmpegError where there is none, or nothing comes in time.
        """
        bound_memory()
        hwaccel = hardware(decoding, name)
        self._container = av.open(
            url,
            format="v4l2" if is_device else None,
            options=(options or {}) | (WITHOUT_LOOKING if is_device else {}),
            stream_options=[ANY_LAYOUT] if is_device else [],  # type: ignore[list-item]  # whatever its stubs say
            timeout=timeout_s,
            hwaccel=hwaccel,
            metadata_errors="replace",
        )
        ahead: list[Packet[Any]] = []
        self._parts: Parts | None = None
        if timeout_s is not None and self._container.format.name in PARTS:
            opened = partial(av.open, url, format="data", options=options or {}, timeout=timeout_s)
            self._container, ahead, self._parts = with_good_heads(self._container, opened)
        if not any(stream.codec_context for stream in self._container.streams.video[:1]):
            self.release()
            raise av.InvalidDataError(0, "there is no video in it, or of a codec that FFMPEG does not know")
        self._stream = self._container.streams.video[0]
        codec = self._stream.codec_context
        if not is_device:  # its driver says of each frame whether it is whole
            tell_codec(name, codec.codec.canonical_name)
        self._timeout_s = timeout_s
        packets = self._packets(Path(url) if is_device else None)
        if codec.has_b_frames or (not self._is_live and codec.name in LENGTH_AT):
            with suppress(av.FFmpegError):
                ahead.extend(islice(packets, LOOK_AHEAD_LIVE if self._is_live else LOOK_AHEAD))
        has_times = have_times(self._container.format.name, ahead if codec.has_b_frames else [])
        self._damage = Damage(Stream(has_times, self._is_live, codec.codec.canonical_name in TELL_DAMAGE))
        written = [bytes(packet) for packet in ahead] if not self._is_live else []
        self._is_whole = looks_whole(codec.name, codec.extradata or b"", name, written)
        """None: of this codec packets tell nothing."""
        if codec.name == "h264":
            codec.thread_count = 1  # with more it does not look whether a frame has all its parts
        self._tell = partial(tell_decoder, name, decoding) if hwaccel is not None else None
        """Says who decodes, at the first frame; None: it was said."""
        self._frames = self._read(in_order(chain(ahead, packets), has_times, self._is_live))
        self._frame: VideoFrame | Packet[Any] | None = None
        self._latest_s = 0.0
        self._colours = Colours()

    def _packets(self, device: Path | None) -> Iterator[Packet[Any]]:
        """Give the packets; of what is live they end where none comes in time. `device` is one of Video4Linux."""
        if self._timeout_s is None:
            return self._container.demux(self._stream)
        if device is not None:
            return awaited(partial(self._container.demux, self._stream), device, self._timeout_s)
        return live_track(self._container, self._stream, self._timeout_s)

    @property
    def _is_live(self) -> bool:
        return self._timeout_s is not None

    @property
    def _is_jpeg(self) -> bool:
        return self._stream.codec_context.name == "mjpeg"

    @property
    def frames_total(self) -> int:
        """How many frames it says it has, or about as many as its duration and usual rate make; 0: neither is told.

        Of a film that was cut without encoding it anew the file may say how many there were before.
        """
        told = max(0, self._stream.frames - self._damage.cut_away)
        usual = round(self._duration_s * float(self._stream.average_rate or 0))
        is_edited = "mov" in self._container.format.name and 0 < usual < told - 1
        return usual if not told or is_edited else told

    def ended_early(self, count: int) -> bool:
        """Whether it ended, after so many frames, before it says it does: by its count, or else by a second or more.

        Films whose rate varies have a duration, and no rate that makes a count of it. It counts from zero, whenever the
        first frame is to be shown: as Matroska has it, which is what counts no frames.
        """
        if self._stream.frames:
            return count < self.frames_total
        usual_s = 1 / float(self._stream.average_rate or 1)
        return self._damage.has_times and self._latest_s + usual_s < self._duration_s - 1

    @property
    def _duration_s(self) -> float:
        return (self._container.duration or 0) / av.time_base

    @property
    def time_s(self) -> float:
        """The stream's own time of what was grabbed; 0 where it tells none."""
        frame = self._frame
        if frame is None or frame.pts is None or frame.time_base is None:
            return 0.0
        if self._is_live and not self._damage.has_times:
            return 0.0
        return float(frame.pts * frame.time_base)

    def grab(self) -> bool:
        """Wait for a frame; False where the stream is over or has timed out, or a film goes on with what is no film.

        Raises StreamError where a live stream does, MemoryError where its next frame takes too much.
        """
        try:
            self._frame = next(self._frames)
        except (StopIteration, av.FFmpegError) as error:
            if self._is_live:
                self._tell_of(error)
            return False
        self._latest_s = max(self._latest_s, self.time_s)
        return True

    def _tell_of(self, error: Exception) -> None:
        """Raises what is to be told of a live stream that gives no more."""
        if isinstance(error, MemoryError):
            raise error
        if isinstance(error, av.InvalidDataError):
            raise StreamError(NO_VIDEO) from None
        if self._container.format.name.endswith("_pipe") and not isinstance(error, av.ExitError):
            raise StreamError(NO_STREAM) from None

    @property
    def undeveloped(self) -> Undeveloped | None:
        """What was grabbed; None where it is damaged."""
        frame = self._frame
        if isinstance(frame, VideoFrame) and frame.width * frame.height <= LARGEST_PIXELS:
            return Decoded(frame, self._colours)
        return Jpeg(bytes(frame)) if isinstance(frame, Packet) else None

    def retrieve(self) -> tuple[bool, NDArray[np.uint8] | None]:
        """Give the pixels (H, W, 3) of what was grabbed; False and None where it is damaged."""
        grabbed = self.undeveloped
        pixels = grabbed.pixels_bgr_u8() if grabbed else None
        return pixels is not None, pixels

    def release(self) -> None:
        """Release the stream."""
        self._container.close()
        if self._parts is not None:
            self._parts.close()

    def _read(self, packets: Iterable[Packet[Any]]) -> Iterator[VideoFrame | Packet[Any] | None]:
        """Give frames that are whole, packets of motion JPEG, and None for what is damaged or lost."""
        blind_since_s, patience_s = math.inf, max(FIRST_PICTURE_S, self._timeout_s or 0)
        for packet in packets:
            if not packet.size and (self._is_jpeg or self._is_live):
                if packet.pts is None:
                    return  # what a live stream's decoder still holds came too late
                self._damage.begin(packet.pts)
                yield None
                continue
            if self._is_jpeg:
                self._say_who_decodes(None)
                if not packet.is_discard:
                    yield None if packet.is_corrupt else packet
                continue
            blind_since_s = min(blind_since_s, time.monotonic())
            for frame in self._decode(packet):
                yield frame
                blind_since_s, patience_s = math.inf, self._timeout_s or 0
            if self._is_live and time.monotonic() - blind_since_s > patience_s:
                raise StreamError(NO_PICTURE)
        yield from self._damage.rest

    def _decode(self, packet: Packet[Any]) -> Iterator[VideoFrame | None]:
        codec = self._stream.codec_context
        is_repeat = self._damage.repeats(codec.name, packet)
        if not is_repeat and packet.size and packet.pts is not None:
            self._damage.expect(packet.pts, packet.is_keyframe, not packet.is_discard)
        if self._is_whole is not None and packet.size and not self._is_whole(bytes(packet)):
            self._damage.begin(packet.pts)
        frames: list[Any] = []
        try:
            # Of a copy the frame comes out, though a film is cut there: what is damaged in it is told.
            frames = codec.decode(copied(packet) if packet.is_discard else packet)
        except av.FFmpegError:
            if self._damage.refused(packet.pts):
                yield None
        if packet.is_corrupt:
            self._damage.begin(packet.pts)
        for frame in frames:
            self._say_who_decodes(frame)
            yield from self._damage.sifted(frame)

    def _say_who_decodes(self, frame: VideoFrame | None) -> None:
        if self._tell is not None:
            self._tell(frame)
            self._tell = None


def looks_whole(codec: str, headers: bytes, name: str, ahead: Sequence[bytes]) -> Callable[[bytes], bool] | None:
    """Give what is asked of each packet of a stream, in order: whether it, and what it builds on, looks whole.

    None: of this codec packets tell nothing. `headers` is FFMPEG's extradata, `name` the camera's in the log, `ahead`
    are a film's first packets.
    """
    if codec not in LENGTH_AT:
        return None
    units = Units(codec, headers)
    units.get_to_know(ahead)
    if units.are_padded:
        log.warning("zeros stand behind its frames: a frame's end that was lost may pass for whole camera=%s", name)
    numbered = H264Frames(headers, name) if codec == "h264" else None

    def is_whole(packet: bytes) -> bool:
        own = units.of(packet)
        is_missed = numbered is not None and numbered.misses_one(own)
        return not is_missed and units.are_as_written(own)

    return is_whole
