"""Sparkplug B payloads on the wire, for the few types that we send. Pure.

What stands where is Eclipse Sparkplug 3.0.0, section 6.4 (messages Payload and Metric, enumeration DataType); how it is
written is Protocol Buffers' wire format: a tag, field number and wire type in one varint, and a value behind it.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
"""Wire types."""
TIMESTAMP, METRICS, SEQ = 1, 2, 3
"""Fields of Payload."""
NAME, METRIC_TIMESTAMP, DATATYPE, IS_HISTORICAL, IS_NULL = 1, 3, 4, 5, 7
INT, LONG, DOUBLE, BOOLEAN, STRING = 10, 11, 13, 14, 15
"""Fields of Metric; those of the second line hold its value."""

Value = int | float | bool | str | None


class DataType(IntEnum):
    """The types that we send."""

    INT32 = 3
    INT64 = 4
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12


@dataclass(frozen=True)
class Metric:
    """One tag's value at one time."""

    name: str
    datatype: DataType
    value: Value
    """None: not known. Integers within the type's range, text of any length."""
    timestamp_ms: int
    """Unix time."""
    is_historical: bool = False
    """The value is no longer the current one: it goes into the history alone."""


def encode(metrics: Sequence[Metric], timestamp_ms: int, seq: int | None) -> bytes:
    """Write a payload sent at `timestamp_ms` (Unix time); `seq` 0 to 255, None in a death."""
    body = _number(TIMESTAMP, timestamp_ms) + b"".join(_bytes(METRICS, _metric(metric)) for metric in metrics)
    return body if seq is None else body + _number(SEQ, seq)


def switched_on(payload: bytes) -> set[str]:
    """Name the Boolean metrics of a command that are true. Raises ValueError where it is no payload."""
    found = set()
    for number, metric in _fields(payload):
        if number == METRICS and isinstance(metric, bytes):
            fields = dict(_fields(metric))
            name = fields.get(NAME)
            if fields.get(BOOLEAN) == 1 and isinstance(name, bytes):
                found.add(name.decode())
    return found


def _metric(metric: Metric) -> bytes:
    head = _bytes(NAME, metric.name.encode())
    head += _number(METRIC_TIMESTAMP, metric.timestamp_ms) + _number(DATATYPE, metric.datatype)
    if metric.is_historical:
        head += _number(IS_HISTORICAL, 1)
    return head + (_number(IS_NULL, 1) if metric.value is None else _value(metric.datatype, metric.value))


def _value(datatype: DataType, value: int | float | bool | str) -> bytes:
    match datatype:
        case DataType.INT32:
            return _number(INT, int(value) & 0xFFFFFFFF)  # negative ones as their two's complement
        case DataType.INT64:
            return _number(LONG, int(value) & 0xFFFFFFFFFFFFFFFF)
        case DataType.DOUBLE:
            return _tag(DOUBLE, FIXED64) + struct.pack("<d", value)
        case DataType.BOOLEAN:
            return _number(BOOLEAN, int(value))
        case DataType.STRING:
            return _bytes(STRING, str(value).encode())


def _tag(field: int, wire_type: int) -> bytes:
    return _varint(field << 3 | wire_type)


def _number(field: int, value: int) -> bytes:
    return _tag(field, VARINT) + _varint(value)


def _bytes(field: int, content: bytes) -> bytes:
    return _tag(field, LENGTH) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; all bytes but the last have the highest bit."""
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Walk the fields of a message: number, and a varint's value or the bytes of anything else."""
    at = 0
    while at < len(message):
        tag, at = _read_varint(message, at)
        match tag & 7:
            case 0:
                value, at = _read_varint(message, at)
                yield tag >> 3, value
                continue
            case 1:
                length = 8
            case 2:
                length, at = _read_varint(message, at)
            case 5:
                length = 4
            case other:
                raise ValueError(f"wire type {other} is none")
        if at + length > len(message):
            raise ValueError("it ends within a field")
        yield tag >> 3, message[at : at + length]
        at += length


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place, byte in enumerate(message[at : at + 10]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at + place + 1
    raise ValueError("it ends within a number")
