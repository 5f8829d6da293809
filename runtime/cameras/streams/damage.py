"""Damage: which frames of a compressed stream are whole, by what was handed to the decoder and what came out of it.

A frame that is damaged or lost spoils those that build on it, up to the next key frame.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from av import VideoFrame
from av.packet import Packet

from runtime.cameras.streams import repeats

DEEPEST = 16
"""No codec shows a frame more than so many others later than it was handed over."""


class Stream(NamedTuple):
    """What is known of a stream."""

    has_times: bool
    """Packets say when their frames are to be shown. Else they are numbered, in the order in which they are decoded."""
    is_live: bool
    """It is joined anywhere, and not held back until the frames are shown that may be built on, and are shown later."""
    tells_keys: bool
    """The decoder tells which are key frames; else the packets are believed."""


class Damage:
    """Follows one stream, in its own time (pts), or by numbers. It belongs to the thread that reads."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._has_begun = False
        """Whether there was a key frame: what stands before it builds on what was not seen."""
        self._first: int | None = None
        """When the first key frame of a film is to be shown: what follows it to be shown before is not due."""
        self._awaited: dict[int, int] = {}
        """When the frames are to be shown that were handed to the decoder, and the last one that each may build on."""
        self._held: list[VideoFrame | None] = []
        """What may build on a frame that is shown later, at the latest at the next of these times; of what is numbered,
        on one with a lower number."""
        self._held_until: int | float = float("-inf")
        self._lost: set[int] = set()
        self._shown: int | float = float("-inf")
        """All that was to be shown before was, or is lost."""
        self._is_broken = False
        """Whether frames build on a damaged one."""
        self._keys: set[int] = set()
        """When the key frames are to be shown that were handed over, and are not damaged."""
        self._cut_away: set[int] = set()
        self._repeats = 0

    @property
    def has_times(self) -> bool:
        """Whether the stream says when its frames are to be shown."""
        return self._stream.has_times

    @property
    def cut_away(self) -> int:
        """How many frames were counted so far that are not to be shown."""
        return len(self._cut_away) + self._repeats

    def repeats(self, codec: str, packet: Packet[Any]) -> bool:
        """Say whether a packet stands for a frame, and lets the one before stay, which is noted."""
        is_repeat = codec == "mpeg4" and repeats.is_repeat(bytes(packet))
        self._repeats += is_repeat
        return is_repeat

    @property
    def rest(self) -> list[VideoFrame | None]:
        """What is left at the end: frames that are held, and None for those that did not come out of the decoder."""
        lost: list[VideoFrame | None] = [None] * len(self._awaited)
        return ([None] * len(self._held) if lost else self._held) + lost

    @property
    def _is_told(self) -> bool:
        return self._has_begun or not self._stream.is_live

    def expect(self, pts: int, is_key: bool, is_shown: bool = True) -> None:
        """Note a frame that is handed to the decoder; what was cut away from a film is not shown, but built on."""
        if is_key and self._first is None and not self._stream.is_live:
            self._first = pts
        is_due = is_shown and (self._first is None or pts >= self._first)
        if is_due and (pts > self._shown or not self._stream.is_live):
            self._awaited[pts] = max([pts, *self._awaited])
        if not is_shown:
            self._cut_away.add(pts)
        if is_key:
            self._keys = {key for key in self._keys if key > self._shown} | {pts}

    def refused(self, pts: int | None) -> bool:
        """Note what the decoder refuses; returns whether it is to be told now, for nothing will be missed later."""
        self.begin(pts)
        return self._is_told and pts not in self._awaited and pts not in self._cut_away

    def begin(self, pts: int | None) -> None:
        """Take nothing more until a key frame that is shown later than the damaged one at `pts`."""
        self._is_broken = True
        self._keys = {key for key in self._keys if pts is not None and key > pts}

    def sifted(self, frame: VideoFrame) -> list[VideoFrame | None]:
        """Give a decoded frame where it is whole, and None for it, and for each one lost before it, where not."""
        if frame.pts in self._lost:  # it comes after all, and was told of
            return []
        if frame.pts is not None and not self._stream.is_live:
            ahead = self._held_until if frame.pts > self._shown else frame.pts  # else the clock began again
            builds_on = self._awaited.get(frame.pts, frame.pts) if self._stream.has_times else frame.pts
            self._held_until = max(ahead, builds_on)
        found: list[VideoFrame | None] = [None] * self._lost_before(frame)
        if frame.is_corrupt or found:
            self._held = [None] * len(self._held)
        if frame.is_corrupt:
            self.begin(frame.pts)
        elif frame.key_frame or (not self._stream.tells_keys and frame.pts in self._keys):
            self._has_begun = True
            self._is_broken &= frame.pts is not None and frame.pts not in self._keys
        if self._is_told and frame.pts not in self._cut_away:
            found.append(frame if self._has_begun and not self._is_broken else None)
        self._held += found
        if self._is_held:
            return []
        shown, self._held = self._held, []
        return shown

    @property
    def _is_held(self) -> bool:
        if self._stream.has_times:
            return self._shown < self._held_until and len(self._held) < DEEPEST
        return any(number < self._held_until for number in self._awaited)

    def _lost_before(self, frame: VideoFrame) -> int:
        """Count the frames that should have been shown before this one; those behind may build on them."""
        if frame.pts is None:
            return 0
        due = frame.pts if self._stream.has_times else frame.pts - DEEPEST
        lost = [pts for pts in self._awaited if pts < due] if self._is_told else []
        self._awaited = {pts: last for pts, last in self._awaited.items() if pts >= due and pts != frame.pts}
        self._shown = due
        self._lost = set(lost) | (set() if frame.key_frame else self._lost)
        if lost:
            self.begin(max(lost))
        return len(lost)
