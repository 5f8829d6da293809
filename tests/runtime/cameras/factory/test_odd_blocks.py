"""Blocks as cameras of all kinds send them, written packet by packet: each is one part, whole or with its fault."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from runtime.parts.verdict import Reason
from tests.runtime.conveyor import BARRIER, Line
from tests.runtime.gige import SIZE, FactoryCamera, sole_use
from tests.runtime.gvsp import MONO8, MONO12P, PacketWriter

pytestmark = pytest.mark.machine
PAYLOAD = bytes(range(96)) * 64
LOST, UNREADABLE = Reason.NO_FRAME, Reason.UNREADABLE
UNDER_WAY = 2
"""Blocks at once: the package keeps four, and one that lacks its trailer ends only with the next."""


class Camera:
    """A station's triggered camera, and what it is sent."""

    def __init__(self, line: Line, packets: PacketWriter) -> None:
        self.line = line
        self._packets = packets
        self._sent = 0

    def send(self, block_id: int, payload: bytes = PAYLOAD, **options: Any) -> None:
        self._packets.send(block_id, payload, **{"size": SIZE, **options})
        self._sent += 1
        self.line.wait_for(self._sent - UNDER_WAY)

    def faults(self, parts: int) -> list[Reason | None]:
        """Of the first parts, once there are so many."""
        self.line.wait_for(parts)
        assert self.line.watcher.camera.status().reconnects == 0
        return [fault for _, fault in self.line.told]


@pytest.fixture
def camera() -> Iterator[Camera]:
    with sole_use(), FactoryCamera("viva", packet_resend=False) as fake:
        line = Line(fake, "hardware", {**BARRIER, "GevSCPSPacketSize": 1036})
        line.ready()
        packets = PacketWriter(fake.fake)
        yield Camera(line, packets)
        packets.close()
        line.watcher.stop()


@pytest.mark.parametrize(
    ("block_ids", "has_64_bits", "faults"),
    [
        ((1, 2, 3), False, [None] * 3),
        ((0, 1, 2), False, [None] * 3),
        ((2, 3), False, [LOST, None, None]),
        ((1, 3), False, [None, LOST, None]),
        ((437, 438, 440), False, [None, None, LOST, None]),  # it counts from when it was switched on
        ((65535, 1, 2), False, [None] * 3),
        ((65535, 0, 1), False, [None] * 3),
        ((65534, 0, 1), False, [None, LOST, None, None]),
        ((65535, 65536, 65537), True, [None] * 3),
        ((65535, 65537), True, [None, LOST, None]),
        ((2**32 - 1, 2**32), True, [None] * 2),
        ((2**60, 2**60 + 1), True, [None] * 2),
    ],
)
def test_blocks_are_counted_however_the_camera_numbers_them(
    camera: Camera, block_ids: tuple[int, ...], has_64_bits: bool, faults: list[Reason | None]
) -> None:
    for block_id in block_ids:
        camera.send(block_id, has_64_bits=has_64_bits)
    assert camera.faults(len(faults)) == faults


@pytest.mark.parametrize("lost", [(0,), (3,), (-1,), (0, -1), (1, 2, 3, 4, 5, 6)])
def test_a_block_that_lost_packets_is_unreadable_wherever_they_stood(camera: Camera, lost: tuple[int, ...]) -> None:
    for block_id in range(1, 5):
        camera.send(block_id, lost=lost if block_id == 2 else ())
    assert camera.faults(4) == [None, UNREADABLE, None, None]


def test_a_block_with_fewer_bytes_than_its_size_and_format_need_is_unreadable_and_the_camera_goes_on(
    camera: Camera,
) -> None:
    camera.send(1)
    camera.send(2, PAYLOAD[:-1])
    camera.send(3, pixel_format=MONO12P)
    camera.send(4, b"")
    camera.send(5)
    assert camera.faults(5) == [None, UNREADABLE, UNREADABLE, UNREADABLE, None]


@pytest.mark.parametrize("size", [(0, 96), (64, 0), (65535, 65535), (2**32 - 1, 2**32 - 1)])
@pytest.mark.parametrize("pixel_format", [MONO8, MONO12P])
def test_a_block_whose_size_is_nonsense_is_unreadable_and_the_camera_goes_on(
    camera: Camera, size: tuple[int, int], pixel_format: int
) -> None:
    camera.send(1)
    camera.send(2, pixel_format=pixel_format, size=size)
    camera.send(3)
    assert camera.faults(3) == [None, UNREADABLE, None]


def test_a_clock_that_runs_backwards_leaves_no_part_out(camera: Camera) -> None:
    for block_id, ticks in enumerate((9 * 10**9, 5 * 10**9, 0, 10**9), start=1):
        camera.send(block_id, ticks=ticks)
    assert camera.faults(4) == [None] * 4


def test_the_id_of_a_part_whose_frame_is_lost_first_of_all_is_not_given_to_the_next(lines: list[Line]) -> None:
    first = list(itertools.product((1,), range(3)))
    with sole_use(), FactoryCamera("viva", drop_packets=first, packet_resend=False) as camera:
        line = Line(camera, "hardware", BARRIER)
        lines.append(line)
        line.ready()
        line.name()
        line.name()
        line.part_passes()
        line.part_passes()
        line.wait_for(2)
        assert line.told == [("0", LOST), ("1", None)]
        line.watcher.stop()
