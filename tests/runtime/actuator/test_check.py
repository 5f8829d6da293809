"""The doctor's look at the PLC: pymodbus' own server answers, or not."""

from collections.abc import Iterator

import pytest

from core.errors import PlcError
from runtime.actuator.check import check_plc
from runtime.actuator.settings import ModbusSettings
from tests.runtime.broker import free_port
from tests.runtime.plc import Plc


@pytest.fixture(scope="module")
def plc() -> Iterator[Plc]:
    plc = Plc()
    plc.start()
    yield plc
    plc.stop()


def at(port: int, **changes: int) -> ModbusSettings:
    return ModbusSettings(host="127.0.0.1", port=port, timeout_s=5, **{"heartbeat_register": 9, **changes})


def test_a_plc_that_has_what_is_to_be_switched_is_ready_and_nothing_is_switched(plc: Plc) -> None:
    assert "answers as unit 1" in check_plc(at(plc.port), [0, 5])
    assert plc.written == []


def test_what_is_wrong_with_a_plc_is_told_with_what_to_do(plc: Plc) -> None:
    for settings, coils, words in (
        (at(free_port()), [0], "does not answer within 5 s; switch it and its Modbus TCP server on"),
        (at(plc.port, unit=9), [0], r"unit 9: refuses coil 0 .* check `modbus.unit`"),
        (at(plc.port), [5000], r"refuses coil 5000 .*exception 2\); .* set `verdict.coil` as the PLC's program"),
        (at(plc.port, heartbeat_register=500), [0], "refuses register 500 .* set `heartbeat_register`"),
    ):
        with pytest.raises(PlcError, match=words):
            check_plc(settings, coils)


def test_a_plc_at_an_address_of_ipv6_is_told_as_one_writes_it() -> None:
    port = free_port()
    with pytest.raises(PlcError, match=rf"\[::1\]:{port} does not answer"):
        check_plc(at(port).model_copy(update={"host": "::1"}), [0])
