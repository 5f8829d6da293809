"""A device of Video4Linux: FFMPEG would wait for its next frame for ever."""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
from av.packet import Packet

OPEN_FILES = Path("/proc/self/fd")
WITHOUT_LOOKING = {"max_ts_probe": "0", "fpsprobesize": "0"}
ANY_LAYOUT = {"pixel_format": "yuvj422p"}
"""Options of the device and of its stream by which FFMPEG opens it without waiting for a frame. The layout is a guess
for motion JPEG, whose frames say their own; of others the driver's counts."""


def awaited(demux: Callable[[], Iterator[Packet[Any]]], device: Path, timeout_s: float) -> Iterator[Packet[Any]]:
    """Give the packets of an open device until none comes within `timeout_s`, an empty one for each that is damaged.

    `demux` begins to read where it ended. Each packet is a copy: FFMPEG lends the device's own memory, which is gone
    when it is closed. Raises OSError where the device is not open.
    """
    handle = _handle(device)
    os.set_blocking(handle, False)
    readable = select.poll()
    readable.register(handle, select.POLLIN)
    while True:
        try:
            yield copied(next(demux()))
        except av.BlockingIOError:
            if not any(event & select.POLLIN for _, event in readable.poll(1000 * timeout_s)):
                return


def copied(packet: Packet[Any]) -> Packet[Any]:
    """Give a packet with content of its own, which belongs to no stream."""
    copy: Packet[Any] = Packet(packet.size)
    if packet.size:
        copy.update(packet)  # type: ignore[arg-type]  # any buffer, whatever its stubs say
    copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
    copy.is_keyframe = packet.is_keyframe
    return copy


def _handle(device: Path) -> int:
    """Find the number by which this process has the device open. Raises OSError where it has not."""
    wanted = device.stat()
    for each in map(int, os.listdir(OPEN_FILES)):
        with suppress(OSError):  # another thread has closed it
            if os.path.samestat(os.fstat(each), wanted):
                return each
    raise OSError(errno.EBADF, "it is not open")
