"""Producers: what is asked of a driver is what the standard calls it."""

import pytest

from runtime.cameras.factory import data_stream, genapi, producer
from tests.runtime.gentl import viky

gentl = pytest.importorskip("genicam.gentl", reason="genicam is not installed")


def test_the_standard_s_numbers_are_those_of_emva_s_own_binding() -> None:
    buffer, stream, device = gentl.BUFFER_INFO_CMD_LIST, gentl.STREAM_INFO_CMD_LIST, gentl.DEVICE_INFO_CMD_LIST
    named = {
        buffer: {
            "BASE": data_stream.BASE,
            "TIMESTAMP": data_stream.TIMESTAMP,
            "IS_INCOMPLETE": data_stream.INCOMPLETE,
            "SIZE_FILLED": data_stream.FILLED,
            "TIMESTAMP_NS": data_stream.TIMESTAMP_NS,
            "WIDTH": data_stream.WIDTH,
            "HEIGHT": data_stream.HEIGHT,
            "XPADDING": data_stream.PADDING,
            "FRAMEID": data_stream.FRAME_ID,
            "IMAGEOFFSET": data_stream.OFFSET,
            "PAYLOADTYPE": data_stream.PAYLOAD_TYPE,
            "DELIVERED_IMAGEHEIGHT": data_stream.DELIVERED_HEIGHT,
        },
        stream: {
            "NUM_UNDERRUN": data_stream.UNDERRUNS,
            "PAYLOAD_SIZE": data_stream.PAYLOAD_SIZE,
            "DEFINES_PAYLOADSIZE": data_stream.DEFINES_PAYLOAD_SIZE,
            "BUF_ANNOUNCE_MIN": data_stream.LEAST_BUFFERS,
        },
        device: {
            "MODEL": producer.DEVICE_MODEL,
            "SERIAL_NUMBER": producer.DEVICE_SERIAL,
            "TIMESTAMP_FREQUENCY": data_stream.TIMESTAMP_FREQUENCY,
            "ACCESS_STATUS": genapi.ACCESS_STATUS,
        },
    }
    for numbers, ours in named.items():
        prefix = next(iter(numbers)).name.split("_INFO_")[0]
        assert {name: numbers[f"{prefix}_INFO_{name}"].value for name in ours} == {
            name: number.value for name, number in ours.items()
        }
    assert data_stream.NEW_BUFFER.value == gentl.EVENT_TYPE_LIST.EVENT_NEW_BUFFER
    assert data_stream.KILL.value == gentl.ACQ_STOP_FLAGS_LIST.ACQ_STOP_FLAGS_KILL
    assert data_stream.DISCARD_ALL.value == gentl.ACQ_QUEUE_TYPE_LIST.ACQ_QUEUE_ALL_DISCARD
    types = gentl.PAYLOADTYPE_INFO_IDS
    assert data_stream.PICTURES == (None, types.PAYLOAD_TYPE_IMAGE, types.PAYLOAD_TYPE_CHUNK_DATA)
    assert producer.EXCLUSIVE.value == gentl.DEVICE_ACCESS_FLAGS_LIST.DEVICE_ACCESS_EXCLUSIVE
    assert set(producer.WORDS) <= {code.value for code in gentl.GC_ERROR_LIST}
    assert producer.TIMEOUT == gentl.GC_ERROR_LIST.GC_ERR_TIMEOUT
    status = gentl.DEVICE_ACCESS_STATUS_LIST
    assert genapi.LOST == (status.DEVICE_ACCESS_STATUS_NOACCESS, status.DEVICE_ACCESS_STATUS_OPEN_READONLY)


def test_all_who_use_a_producer_have_the_same_one_and_the_last_lets_it_go() -> None:
    with producer.loaded(viky()) as first:
        with producer.loaded(viky().parent / ".." / "genicam" / "viky.cti") as second:
            assert second is first
        assert [device.serial for device in first.devices()] == ["0", "1", "2"]
    with producer.loaded(viky()) as third:
        assert third is not first
