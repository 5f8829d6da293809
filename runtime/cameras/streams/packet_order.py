"""Packet order: packets get times that put their frames in one order, where their own do not."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

from av.packet import Packet

WITHOUT_TIMES = frozenset({"avi", "h264", "hevc"})
"""Formats that do not say when a packet's frame is to be shown; FFMPEG guesses it for AVI."""
FEWEST = 4
"""Packets of which one at least goes back in time, where frames are reordered."""
BACK_S = 0.1
"""A clock that goes back by more began anew, as where films were put together."""


def have_times(form: str, reordered: Sequence[Packet[Any]]) -> bool:
    """Whether packets of FFMPEG's format `form` say when their frames are to be shown.

    `reordered` are the first ones, where frames are not shown in the order in which they are decoded. Some cameras
    write when a frame was coded instead: those times never go back.
    """
    times = [packet.pts or 0 for packet in reordered if packet.size]
    is_coding = len(times) >= FEWEST and all(map(operator.lt, times, times[1:]))
    return form not in WITHOUT_TIMES and not is_coding


def in_order(packets: Iterator[Packet[Any]], has_times: bool, is_live: bool) -> Iterator[Packet[Any]]:
    """Give a stream's packets with times that put its frames in one order. What is live may go back in its own."""
    if not has_times:
        return _numbered(packets)
    return packets if is_live else _going_on(packets)


def _numbered(packets: Iterator[Packet[Any]]) -> Iterator[Packet[Any]]:
    """Number packets in place of their times, in the order in which they are decoded."""
    numbers = count()
    for packet in packets:
        if packet.size:
            packet.pts = packet.dts = next(numbers)
        yield packet


def _going_on(packets: Iterator[Packet[Any]]) -> Iterator[Packet[Any]]:
    """Let the times of packets go on where the film's clock begins anew."""
    last = latest = later = 0
    for packet in packets:
        dts, pts = packet.dts, packet.pts
        if dts is not None and packet.time_base and dts + later < last - BACK_S / packet.time_base:
            later = latest + 1 - dts
        if dts is not None:
            packet.dts = last = dts + later
        if pts is not None:
            packet.pts = pts + later
            latest = max(latest, pts + later)
        yield packet
