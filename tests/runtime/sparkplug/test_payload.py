"""Payloads: what we write is what Google's protobuf reads, and no command that is damaged does harm."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.sparkplug.payload import DataType, Metric, encode, switched_on
from tests.runtime.sparkplug_host import Payload, value

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
MILLISECONDS = st.integers(0, 2**53)
VALUES = {
    DataType.INT32: st.integers(-(2**31), 2**31 - 1),
    DataType.INT64: st.integers(-(2**63), 2**63 - 1),
    DataType.DOUBLE: st.floats(allow_nan=False),
    DataType.BOOLEAN: st.booleans(),
    DataType.STRING: TEXT,
}
BITS = {DataType.INT32: 32, DataType.INT64: 64}
"""Integers go as their two's complement of so many bits."""
METRICS = st.sampled_from(DataType).flatmap(
    lambda kind: st.builds(Metric, TEXT, st.just(kind), st.none() | VALUES[kind], MILLISECONDS, st.booleans())
)


@settings(max_examples=50)
@given(st.lists(METRICS, max_size=5), MILLISECONDS, st.none() | st.integers(0, 255))
def test_what_is_written_is_read_by_protobuf(metrics: list[Metric], timestamp_ms: int, seq: int | None) -> None:
    read = Payload.FromString(encode(metrics, timestamp_ms, seq))
    assert read.timestamp == timestamp_ms
    assert (read.seq if read.HasField("seq") else None) == seq
    told = [(each.name, each.datatype, value(each), each.timestamp, each.is_historical) for each in read.metrics]
    assert told == [
        (
            each.name,
            int(each.datatype),
            each.value % 2 ** BITS[each.datatype]
            if each.datatype in BITS and isinstance(each.value, int)
            else each.value,
            each.timestamp_ms,
            each.is_historical,
        )
        for each in metrics
    ]


@given(st.dictionaries(TEXT, st.booleans(), max_size=4), st.booleans())
def test_what_protobuf_writes_switches_on_what_is_true(switches: dict[str, bool], has_more: bool) -> None:
    command = Payload(timestamp=1, seq=7)
    for name, is_on in switches.items():
        command.metrics.add(name=name, alias=3, datatype=11, boolean_value=is_on)
    if has_more:
        command.metrics.add(name="other", float_value=1.0)
        command.metrics.add(name="another", double_value=1.0)
    assert switched_on(command.SerializeToString()) == {name for name, is_on in switches.items() if is_on}


@given(st.binary(max_size=60))
def test_no_command_raises_anything_but_that_it_is_no_payload(junk: bytes) -> None:
    with contextlib.suppress(ValueError):
        switched_on(junk)


@pytest.mark.parametrize("junk", [b"\x12\x05\x0a", b"\x80" * 11, b"\x0b", b"\x0a\x01\xff\x09"])
def test_a_command_that_is_cut_off_is_no_payload(junk: bytes) -> None:
    with pytest.raises(ValueError, match="ends within|wire type"):
        switched_on(junk)
