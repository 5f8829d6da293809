"""A camera of GigE Vision whose frames a test writes packet by packet, in the name of viva-genicam's fake."""

import socket
import struct
from collections.abc import Collection
from typing import Any

from tests.runtime.gige import HOST

PORT_REGISTER, SIZE_REGISTER = 0x0D00, 0x0D04
LEADER, TRAILER, PAYLOAD = 1, 2, 3
IMAGE = 1
MONO8, MONO12P = 0x01080001, 0x010C0047
HEADERS = {False: 8, True: 20}
"""Bytes before a packet's content, by whether its block id has 64 bits."""
BELOW = 28
"""Bytes of IP and UDP, which count as the packet's."""


class PacketWriter:
    """Sends blocks to whoever has opened the fake's stream, while the fake itself is silent."""

    def __init__(self, fake: Any) -> None:
        port, packet = (
            struct.unpack(">I", fake.peek(register, 4))[0] & 0xFFFF for register in (PORT_REGISTER, SIZE_REGISTER)
        )
        self._goal = (HOST, port)
        self._packet_bytes = packet - BELOW
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def close(self) -> None:
        self._socket.close()

    def send(
        self,
        block_id: int,
        payload: bytes,
        size: tuple[int, int],
        pixel_format: int = MONO8,
        ticks: int = 0,
        has_64_bits: bool = False,
        lost: Collection[int] = (),
    ) -> None:
        """Send one block of `size` (height, width) but for the packets of the numbers `lost`; -1 is the trailer."""
        most = self._packet_bytes - HEADERS[has_64_bits]
        height, width = size
        image = struct.pack(">HHQIIIIIHH", 0, IMAGE, ticks, pixel_format, width, height, 0, 0, 0, 0)
        parts = [payload[at : at + most] for at in range(0, len(payload), most)]
        contents = [(LEADER, image), *((PAYLOAD, part) for part in parts), (TRAILER, struct.pack(">HHI", 0, 1, height))]
        for number, (kind, content) in enumerate(contents):
            if number not in lost and number - len(contents) not in lost:
                self._socket.sendto(_header(block_id, kind, number, has_64_bits) + content, self._goal)


def _header(block_id: int, kind: int, number: int, has_64_bits: bool) -> bytes:
    if has_64_bits:
        return struct.pack(">HHIQI", 0, 0, (0x80 | kind) << 24, block_id, number)
    return struct.pack(">HHI", 0, block_id, kind << 24 | number)
