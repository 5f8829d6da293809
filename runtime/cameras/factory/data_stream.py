"""Data streams: the buffers that a producer fills with a camera's frames, one taken at a time."""

import ctypes
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ctypes import byref, c_char_p, c_int32, c_size_t, c_uint32, c_uint64, c_void_p
from typing import Any

from runtime.cameras.factory.producer import TIMEOUT, Producer, ProducerError, quietly

BUFFERS = 8
"""How many frames the producer may fill before one is taken."""
NEW_BUFFER, WITHOUT_END, KILL, DISCARD_ALL = c_int32(1), c_uint64(2**64 - 1), c_int32(1), c_int32(4)
TIMESTAMP_FREQUENCY = c_int32(9)
UNDERRUNS, PAYLOAD_SIZE, DEFINES_PAYLOAD_SIZE, LEAST_BUFFERS = (c_int32(number) for number in (2, 7, 9, 12))
BASE, TIMESTAMP, INCOMPLETE, FILLED, TIMESTAMP_NS = (c_int32(number) for number in (0, 3, 7, 9, 28))
WIDTH, HEIGHT, PADDING, FRAME_ID, OFFSET = (c_int32(number) for number in (10, 11, 14, 16, 18))
PAYLOAD_TYPE, DELIVERED_HEIGHT = c_int32(19), c_int32(22)
"""What may be asked, by the standard's numbers: of a camera, of a stream, and of a buffer."""
PICTURES = (None, 1, 4)
"""Types of payload that are one picture; 4 is an old name of one with chunks. Some producers tell none."""


class _Chunk(ctypes.Structure):
    _fields_ = (("number", c_uint64), ("offset", ctypes.c_ssize_t), ("length", c_size_t))


class DataStream:
    """The frames of one open camera, from `opened_stream` on. It belongs to one thread."""

    def __init__(self, producer: Producer, device: c_void_p, stream: c_void_p, event: c_void_p) -> None:
        self._producer = producer
        self._stream, self._event = stream, event
        self._ticks_per_s = producer.ask("DevGetInfo", device, TIMESTAMP_FREQUENCY) or 0
        self._buffer: c_void_p | None = None

    def announce(self, size: int) -> Iterator[c_void_p]:
        """Let the producer have buffers of `size` bytes, and give them."""
        least = self._producer.ask("DSGetInfo", self._stream, LEAST_BUFFERS) or 0
        for _ in range(max(BUFFERS, least)):
            buffer = self._producer.opened("DSAllocAndAnnounceBuffer", self._stream, c_size_t(size), None)
            self._producer.call("DSQueueBuffer", self._stream, buffer)
            yield buffer

    def wait(self, timeout_s: float) -> bool:
        """Give back what was taken, and take the next; False where none came.

        Raises ProducerError where the producer has given the camera up.
        """
        if self._buffer is not None:
            self._producer.call("DSQueueBuffer", self._stream, self._buffer)
            self._buffer = None
        event = (c_void_p * 2)()
        size, milliseconds = c_size_t(ctypes.sizeof(event)), c_uint64(max(0, int(timeout_s * 1000)))
        try:
            self._producer.call("EventGetData", self._event, event, byref(size), milliseconds)
        except ProducerError as error:
            if error.code == TIMEOUT:
                return False
            raise
        self._buffer = c_void_p(event[0])
        return True

    def told(self, what: c_int32) -> Any:
        """Ask about what was taken; None where the producer does not know."""
        if self._buffer is None:
            return None
        return self._producer.ask("DSGetBufferInfo", self._stream, self._buffer, what)

    @property
    def is_whole(self) -> bool:
        """Whether the producer says of what was taken that nothing is missing."""
        return self.told(INCOMPLETE) is False

    @property
    def time_s(self) -> float:
        """The camera's own time of what was taken; 0 where it tells none."""
        nanoseconds = self.told(TIMESTAMP_NS)
        if nanoseconds is not None:
            return float(nanoseconds) / 1e9
        return (self.told(TIMESTAMP) or 0) / self._ticks_per_s if self._ticks_per_s else 0.0

    def content(self, offset: int = 0) -> bytes:
        """Copy what was taken, from `offset` on."""
        return ctypes.string_at(self.told(BASE) + offset, self.told(FILLED) - offset)

    def chunks(self) -> list[tuple[int, int, int]]:
        """Say which chunks were taken: their numbers, where they begin, and how long they are, in bytes."""
        count = c_size_t()
        self._producer.call("DSGetBufferChunkData", self._stream, self._buffer, None, byref(count))
        found = (_Chunk * count.value)()
        self._producer.call("DSGetBufferChunkData", self._stream, self._buffer, found, byref(count))
        return [(each.number, each.offset, each.length) for each in found]

    @property
    def underruns(self) -> int:
        """How many frames found no buffer so far."""
        return int(self._producer.ask("DSGetInfo", self._stream, UNDERRUNS) or 0)


@contextmanager
def opened_stream(producer: Producer, device: c_void_p, payload_bytes: int) -> Iterator[DataStream]:
    """Let the producer wait for a camera's frames, of up to `payload_bytes` where it does not know better.

    Raises ProducerError where it cannot; all is undone at the end.
    """
    with ExitStack() as ending:
        name = producer.name("DevGetDataStreamID", device, c_uint32(0))
        stream = producer.opened("DevOpenDataStream", device, c_char_p(name))
        ending.callback(quietly, producer.call, "DSClose", stream)
        event = producer.opened("GCRegisterEvent", stream, NEW_BUFFER)
        ending.callback(quietly, producer.call, "GCUnregisterEvent", stream, NEW_BUFFER)
        frames = DataStream(producer, device, stream, event)
        if producer.ask("DSGetInfo", stream, DEFINES_PAYLOAD_SIZE):
            payload_bytes = producer.ask("DSGetInfo", stream, PAYLOAD_SIZE)
        for buffer in frames.announce(payload_bytes):
            ending.callback(quietly, producer.call, "DSRevokeBuffer", stream, buffer, None, None)
        ending.callback(quietly, producer.call, "DSFlushQueue", stream, DISCARD_ALL)
        producer.call("DSStartAcquisition", stream, c_int32(0), WITHOUT_END)
        ending.callback(quietly, producer.call, "DSStopAcquisition", stream, KILL)
        yield frames
